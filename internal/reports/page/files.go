package page

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
)

// filePolicy is the policy of pages in files, where no server sends a header.
const filePolicy = "default-src 'none'; style-src 'self' file:; form-action 'none'; base-uri 'none'"

// maxFiles bounds the pages of domains, of sources and of reports, each.
const maxFiles = 2000

// WriteFiles writes the pages into a folder, which is made if it is missing, and returns their number.
// Files of the same names are replaced, others stay. progress, if not nil, is told of each page.
func (p *Page) WriteFiles(ctx context.Context, folder string, q Query, progress func(pages int)) (int, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return 0, err
	}
	if err := replace(filepath.Join(folder, "style.css"), stylesheet()); err != nil {
		return 0, err
	}
	w := &fileWriter{page: p, folder: folder, query: q, progress: progress, to: &filed{seen: map[string]bool{}}}
	w.add("index.html", func() (*view, error) { return p.overview(ctx, q, w.to, maxFiles) })
	w.add("reports.html", func() (*view, error) { return p.reports(ctx, q, w.to, maxFiles) })
	w.add("sent.html", func() (*view, error) { return p.sent(ctx, q, w.to, maxAllRows) })
	w.add("would-refuse.html", func() (*view, error) { return p.wouldRefuse(ctx, q, w.to, maxAllRows) })
	// A page that was written names others.
	for len(w.to.wanted) > 0 && w.err == nil {
		next := w.to.wanted[0]
		w.to.wanted = w.to.wanted[1:]
		w.add(next.file, func() (*view, error) {
			switch {
			case next.report != 0:
				return p.report(ctx, q, w.to, next.report, maxAllRows)
			case next.address != "":
				return p.source(ctx, q, w.to, next.address, next.domain, maxAllRows)
			}
			return p.domain(ctx, q, w.to, next.domain, maxRows)
		})
	}
	return w.pages, w.err
}

type fileWriter struct {
	page     *Page
	folder   string
	query    Query
	progress func(int)
	to       *filed
	pages    int
	err      error
}

func (w *fileWriter) add(name string, make func() (*view, error)) {
	if w.err != nil {
		return
	}
	v, err := make()
	if err != nil {
		w.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	v.Links, v.Query, v.Policy = w.to, w.query, filePolicy
	var out bytes.Buffer
	if err := writeHTML(&out, v); err != nil {
		w.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	if w.err = replace(filepath.Join(w.folder, name), out.Bytes()); w.err != nil {
		return
	}
	w.pages++
	if w.progress != nil {
		w.progress(w.pages)
	}
}

// replace writes a file as a whole: a web server may read it meanwhile.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// filed are the names of pages in one folder. A page that is named for the first time is wanted.
type filed struct {
	seen             map[string]bool
	wanted           []wantedPage
	sources, numbers int
}

type wantedPage struct {
	file, domain, address string
	report                int64
}

func (l *filed) want(p wantedPage) string {
	if !l.seen[p.file] {
		l.seen[p.file] = true
		l.wanted = append(l.wanted, p)
	}
	return p.file
}

func (l *filed) overview() string    { return "index.html" }
func (l *filed) reports() string     { return "reports.html" }
func (l *filed) sent() string        { return "sent.html" }
func (l *filed) wouldRefuse() string { return "would-refuse.html" }
func (l *filed) style() string       { return "style.css" }

func (l *filed) domain(name string) string {
	return l.want(wantedPage{file: "domain-" + fileName(name) + ".html", domain: name})
}

// source returns "", no link, where there are too many.
func (l *filed) source(address, domain string) string {
	file := "source-" + fileName(address) + "-" + fileName(domain) + ".html"
	if !l.seen[file] {
		if l.sources++; l.sources > maxFiles {
			return ""
		}
	}
	return l.want(wantedPage{file: file, address: address, domain: domain})
}

func (l *filed) report(id int64) string {
	file := fmt.Sprintf("report-%d.html", id)
	if !l.seen[file] {
		if l.numbers++; l.numbers > maxFiles {
			return ""
		}
	}
	return l.want(wantedPage{file: file, report: id})
}

// fileName writes a name that strangers chose so that it is safe in a path and in a link, and no two are alike.
func fileName(s string) string {
	var out strings.Builder
	for _, b := range []byte(s) {
		if (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || b == '.' || b == '-' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "_%02x", b)
		}
	}
	if out.Len() > 200 {
		return out.String()[:180] + fmt.Sprintf("_%x", sum(s))
	}
	return out.String()
}

func sum(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}
