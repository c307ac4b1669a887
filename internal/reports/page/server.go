package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/netutil"

	"signpost/internal/unixsocket"
)

// Limits of the server. A page is read from the database while it is asked for.
const (
	maxConnections = 32
	maxPages       = 2 // made at once
	requestTime    = 10 * time.Second
	pageTime       = 60 * time.Second
	maxHeader      = 16 << 10
)

// policy is the Content-Security-Policy: no script, no frame, nothing from elsewhere.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Server serves the pages.
type Server struct {
	config Config
	open   func(context.Context) (p *Page, done func(), err error)
	making chan struct{}
	log    *slog.Logger
	server *http.Server
}

// Serve listens and answers in the background until Close. open returns the Page for one request, which
// calls done when it needs the database no more. The error says why nothing listens; a daemon goes on without.
func Serve(c Config, open func(context.Context) (p *Page, done func(), err error), log *slog.Logger) (*Server, error) {
	s := &Server{config: c, open: open, making: make(chan struct{}, maxPages), log: log}
	socket, err := s.listen()
	if err != nil {
		return nil, fmt.Errorf("reports.page.listen: %w", err)
	}
	s.server = &http.Server{Handler: s.Handler(), MaxHeaderBytes: maxHeader, ReadTimeout: requestTime, WriteTimeout: pageTime + requestTime, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() {
		if err := s.server.Serve(netutil.LimitListener(socket, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the page of the reports is not served any more: restart the daemon", "socket", c.Listen, "error", err.Error())
		}
	}()
	return s, nil
}

func (s *Server) listen() (net.Listener, error) {
	path := s.config.Socket()
	if path == "" {
		return net.Listen("tcp", s.config.address())
	}
	socket, err := unixsocket.Listen(path, 0o660, s.config.Group)
	if errors.Is(err, unixsocket.ErrGroup) || (err != nil && s.config.Group == "") {
		s.log.Warn("the group cannot be given the socket of the reports' page, so only root and the daemon's user can open it",
			"group", s.config.Group, "problem", err.Error(), "remedy", "make the daemon's user a member of the group and restart it")
		return unixsocket.Listen(path, 0o600, "")
	}
	return socket, err
}

// Close ends all answers. A nil Server is closed already.
func (s *Server) Close() {
	if s != nil {
		_ = s.server.Close()
	}
}

// Handler answers requests of any listener.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(stylesheet())
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for pattern, make := range map[string]func(*Page, context.Context, Query, links, *http.Request, int) (*view, error){
		"GET /{$}": func(p *Page, ctx context.Context, q Query, to links, _ *http.Request, most int) (*view, error) {
			return p.overview(ctx, q, to, most)
		},
		"GET /domain/{domain}": func(p *Page, ctx context.Context, q Query, to links, r *http.Request, most int) (*view, error) {
			return p.domain(ctx, q, to, strings.ToLower(r.PathValue("domain")), most)
		},
		"GET /source/{address}": func(p *Page, ctx context.Context, q Query, to links, r *http.Request, most int) (*view, error) {
			address, err := netip.ParseAddr(r.PathValue("address"))
			if err != nil {
				return nil, errNotFound
			}
			return p.source(ctx, q, to, address.String(), strings.ToLower(r.FormValue("domain")), most)
		},
		"GET /reports": func(p *Page, ctx context.Context, q Query, to links, _ *http.Request, most int) (*view, error) {
			return p.reports(ctx, q, to, most)
		},
		"GET /report/{id}": func(p *Page, ctx context.Context, q Query, to links, r *http.Request, most int) (*view, error) {
			id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
			if err != nil {
				return nil, errNotFound
			}
			return p.report(ctx, q, to, id, most)
		},
		"GET /sent": func(p *Page, ctx context.Context, q Query, to links, _ *http.Request, most int) (*view, error) {
			return p.sent(ctx, q, to, most)
		},
		"GET /would-refuse": func(p *Page, ctx context.Context, q Query, to links, _ *http.Request, most int) (*view, error) {
			return p.wouldRefuse(ctx, q, to, most)
		},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, make) })
	}
	return s.guard(mux)
}

// guard sets the headers of all answers, and refuses other hosts: a page of a stranger must not be able to read
// these by a name of its own that leads here.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !s.permits(r.Host) {
			http.Error(w, "This name is not one of the page's. reports.page.hosts lists the names under which it may be asked for.", http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "Pages can only be read.", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) permits(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if host == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(s.config.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// answer makes one page, as HTML or CSV.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, make func(*Page, context.Context, Query, links, *http.Request, int) (*view, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), pageTime)
	defer cancel()
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		http.Error(w, "Too many pages are asked for at once. Ask again.", http.StatusServiceUnavailable)
		return
	}
	if !isText(r.URL.Path) || !isText(r.FormValue("domain")) {
		http.Error(w, "There is no such page.", http.StatusNotFound)
		return
	}
	q := queryOf(r.URL.Query())
	asCSV, most := r.FormValue("format") == "csv", maxRows
	if asCSV {
		most = maxAllRows
	}
	p, done, err := s.open(ctx)
	var v *view
	if err == nil {
		defer done()
		v, err = make(p, ctx, q, served{q}, r, most)
	}
	switch {
	case errors.Is(err, errNotFound):
		http.Error(w, "There is no such page.", http.StatusNotFound)
	case err != nil:
		s.log.Warn("a page of the reports could not be made", "path", r.URL.Path, "error", err.Error())
		http.Error(w, "The database of the reports does not answer. The daemon's log says why.", http.StatusServiceUnavailable)
	case asCSV:
		s.csv(w, v)
	default:
		s.html(w, r, q, v)
	}
}

// isText tells whether a database of text can be asked for s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func (s *Server) csv(w http.ResponseWriter, v *view) {
	t := v.first()
	if t == nil {
		http.Error(w, "This page has no table.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="signpost.csv"`)
	_ = writeCSV(w, t) // the reader has gone
}

func (s *Server) html(w http.ResponseWriter, r *http.Request, q Query, v *view) {
	v.Links, v.Query, v.Self = served{q}, q, r.URL.EscapedPath()
	v.Choices = slices.Clone(dayChoices)
	if !slices.Contains(v.Choices, q.Days) {
		v.Choices = append(v.Choices, q.Days)
	}
	if v.first() != nil {
		values := r.URL.Query()
		values.Set("format", "csv")
		v.CSV = r.URL.EscapedPath() + "?" + values.Encode()
	}
	var out bytes.Buffer
	if err := writeHTML(&out, v); err != nil {
		s.log.Warn("a page of the reports could not be made", "path", r.URL.Path, "error", err.Error())
		http.Error(w, "The page could not be made. The daemon's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(out.Bytes())
}

// queryOf reads the choices of the form; what is wrong counts as not chosen.
func queryOf(values url.Values) Query {
	q := Query{Days: defaultDays, Problems: values.Get("problems") == "1"}
	if n, err := strconv.Atoi(values.Get("days")); err == nil && n >= 1 && n <= 3650 {
		q.Days = n
	}
	return q
}

// served are the addresses of pages on a server; the choices go along.
type served struct{ q Query }

func (l served) to(path string, more ...string) string {
	values := url.Values{}
	if l.q.Days != defaultDays {
		values.Set("days", strconv.Itoa(l.q.Days))
	}
	if l.q.Problems {
		values.Set("problems", "1")
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" {
			values.Set(more[i], more[i+1])
		}
	}
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	return path
}

func (l served) overview() string          { return l.to("/") }
func (l served) domain(name string) string { return l.to("/domain/" + url.PathEscape(name)) }
func (l served) source(address, domain string) string {
	return l.to("/source/"+url.PathEscape(address), "domain", domain)
}
func (l served) reports() string        { return l.to("/reports") }
func (l served) report(id int64) string { return fmt.Sprintf("/report/%d", id) }
func (l served) sent() string           { return l.to("/sent") }
func (l served) wouldRefuse() string    { return l.to("/would-refuse") }
func (l served) style() string          { return "/style.css" }
