package daemon

import (
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/keys/lifecycle"
	"signpost/milter"
)

// lines is a log whose lines a test waits for.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// await returns the first line with these words, and forgets those before it.
func (l lines) await(t *testing.T, words string) string {
	t.Helper()
	for {
		select {
		case line := <-l:
			if strings.Contains(line, words) {
				return line
			}
		case <-time.After(time.Minute):
			t.Fatalf("the log does not say %q", words)
		}
	}
}

// running is a service as serve runs it; a test sends its signals.
type running struct {
	*Service
	log          lines
	reload, stop chan os.Signal
	ended        chan error
}

// run starts the configuration of a house, after change, which may be nil.
func run(t *testing.T, h *house, grace time.Duration, change func(*Config)) *running {
	t.Helper()
	r := &running{log: make(lines, 1000), reload: make(chan os.Signal, 1), stop: make(chan os.Signal, 2), ended: make(chan error, 1)}
	g, err := LoadForStart(h.config, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&g.Config)
	}
	if r.Service, err = New(g, h.config, "test", slog.New(slog.NewTextHandler(r.log, nil))); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.serve(r.reload, r.stop, grace); close(r.ended) }()
	t.Cleanup(func() {
		select {
		case r.stop <- syscall.SIGTERM:
		default:
		}
		for range r.ended {
		}
	})
	r.log.await(t, "configuration in force")
	return r
}

// client is an MTA's connection, whose messages are ours.
type client struct {
	t *testing.T
	*gomilter.ClientSession
}

func (r *running) connect(t *testing.T) client {
	t.Helper()
	at := r.Addrs()[0]
	s, err := gomilter.NewClientWithOptions(at.Network(), at.String(), gomilter.ClientOptions{
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine,
		ProtocolMask: gomilter.OptHeaderLeadingSpace | gomilter.OptNoHeaderReply | gomilter.OptNoBodyReply,
	}).Session()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := client{t, s}
	c.goesOn(s.Conn("localhost", gomilter.FamilyInet, 25, "127.0.0.1"))
	c.goesOn(s.Helo("localhost"))
	return c
}

func (c client) goesOn(a *gomilter.Action, err error) {
	c.t.Helper()
	if err != nil || (a.Code != gomilter.ActContinue && a.Code != gomilter.ActSkip) {
		c.t.Fatalf("the milter answers %+v, %v", a, err)
	}
}

// begin sends a message up to its header.
func (c client) begin(from string) {
	c.t.Helper()
	c.goesOn(c.Mail(from, nil))
	c.goesOn(c.Rcpt("bob@example.net", nil))
	c.goesOn(c.HeaderField("From", " "+from))
}

var selector = regexp.MustCompile(`;\s+s=([^;]+)`)

// end sends the rest, and returns the selectors of the signatures, or the reply.
func (c client) end() string {
	c.t.Helper()
	c.goesOn(c.HeaderEnd())
	changes, final, err := c.BodyReadFrom(strings.NewReader("hello\r\n"))
	if err != nil {
		c.t.Fatal(err)
	}
	if final.Code != gomilter.ActAccept {
		return fmt.Sprint(final.SMTPCode)
	}
	var selectors []string
	for _, change := range changes {
		if m := selector.FindStringSubmatch(change.HeaderValue); m != nil && change.HeaderName == "DKIM-Signature" {
			selectors = append(selectors, m[1])
		}
	}
	slices.Sort(selectors)
	return strings.Join(selectors, ",")
}

func (c client) message(from string) string {
	c.t.Helper()
	c.begin(from)
	return c.end()
}

// A reload concerns the messages that begin after it, on the same connection too.
func TestAMessageKeepsTheGenerationThatItBeganWith(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	clients := []client{r.connect(t), r.connect(t), r.connect(t)}
	for _, c := range clients {
		c.message("alice@example.com") // waits until DNS has been heard about the keys
		c.begin("alice@example.com")
	}
	for _, step := range []struct{ selectors, next string }{{"[e2025]", "e2025"}, {"[s2025]", "s2025"}} {
		h.write(h.config, strings.Replace(strings.ReplaceAll(houseYAML, "DIR", h.dir), "[s2025, e2025]", step.selectors, 1))
		r.reload <- syscall.SIGHUP
		r.log.await(t, "reloaded")
	}
	for _, c := range clients {
		if got := c.end(); got != "e2025,s2025" {
			t.Errorf("a message that began before the reloads is signed with %s", got)
		}
		if got := c.message("alice@example.com"); got != "s2025" {
			t.Errorf("the next message is signed with %s", got)
		}
	}
}

func TestARefusedReloadChangesNothing(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	c := r.connect(t)
	good := h.read(h.config)
	for _, bad := range []string{"signer: [", "", "signer:\n  nonsense: 1\n", strings.Replace(good, "s2025", "s1999", 1)} {
		h.write(h.config, bad)
		r.reload <- syscall.SIGHUP
		r.log.await(t, "reload refused, the old configuration stays in force")
		if got := c.message("alice@example.com"); got != "e2025,s2025" {
			t.Errorf("after %q: signed with %s", bad, got)
		}
	}
	h.write(h.config, strings.Replace(good, "[s2025, e2025]", "[e2025]", 1))
	r.reload <- syscall.SIGHUP
	r.log.await(t, "reloaded")
	if got := c.message("alice@example.com"); got != "e2025" {
		t.Errorf("after a good file: signed with %s", got)
	}
}

func TestAChangedTableIsReadWithoutASignal(t *testing.T) {
	h := newHouse(t)
	h.replace("require_published: true", "require_published: false\n  tables: [{database: \"sqlite:"+h.dir+"/d.db\", query: \"SELECT * FROM d\"}]")
	db, err := sql.Open("sqlite", "file:"+h.dir+"/d.db?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE d (domain text, selectors text, keys_of text); INSERT INTO d VALUES ('a.test', 's1', 'example.org')")
	r := run(t, h, time.Minute, func(c *Config) { c.Signer.TablesEvery = time.Millisecond })
	c := r.connect(t)
	if got := c.message("x@b.test"); got != "" {
		t.Fatalf("a domain without an entry is signed with %s", got)
	}
	exec("INSERT INTO d VALUES ('b.test', 's1', 'example.org')")
	r.log.await(t, "a table in a database has changed")
	r.log.await(t, "reloaded")
	if got := c.message("x@b.test"); got != "s1" {
		t.Errorf("the new entry signs with %q", got)
	}
}

func TestAStopLetsAMessageFinish(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	c := r.connect(t)
	c.begin("alice@example.com")
	r.stop <- syscall.SIGTERM
	r.log.await(t, "stopping: running messages may finish")
	if got := c.end(); got != "e2025,s2025" {
		t.Errorf("the message on its way is signed with %s", got)
	}
	c.Close()
	r.log.await(t, "msg=stopped")
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("unix", h.dir+"/m.sock"); err == nil {
		conn.Close()
		t.Error("a stopped service takes connections")
	}
	if lifecycle.StateLocked(h.dir + "/state/keys.json") {
		t.Error("a stopped service has the lock of the state")
	}
}

func TestAStopWaitsNoLongerThanTheGrace(t *testing.T) {
	r := run(t, newHouse(t), time.Millisecond, nil)
	r.connect(t).begin("alice@example.com")
	r.stop <- syscall.SIGTERM
	r.log.await(t, "stopped with messages unfinished")
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// A start that fails leaves the running service alone, and what it had taken itself.
func TestASecondStartOnATakenAddress(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	for _, c := range []struct {
		name   string
		says   string
		change func(*Config)
	}{
		{"the milter's socket", "another process listens there", func(*Config) {}},
		{"one address of two", "in use", func(c *Config) {
			c.Milter.Listen = []milter.Listen{{Address: milter.Address{Network: "tcp", Addr: free.Addr().String()}}, {Address: milter.Address{Network: "tcp", Addr: taken.Addr().String()}}}
		}},
		{"the address of the metrics", "in use", func(c *Config) {
			c.Milter.Listen = []milter.Listen{{Address: milter.Address{Network: "tcp", Addr: free.Addr().String()}}}
			c.Metrics.Listen = taken.Addr().String()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := LoadForStart(h.config, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			g.Config.Keys.State = h.dir + "/state/second.json"
			c.change(&g.Config)
			if _, err := New(g, h.config, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("a start on a taken address: %v", err)
			}
			if lifecycle.StateLocked(g.Config.Keys.State) {
				t.Error("the lock of the state is not given up")
			}
			l, err := net.Listen("tcp", free.Addr().String())
			if err != nil {
				t.Fatalf("the other address is not given up: %v", err)
			}
			l.Close()
		})
	}
	if got := r.connect(t).message("alice@example.com"); got != "e2025,s2025" {
		t.Errorf("the running service signs with %s", got)
	}
}
