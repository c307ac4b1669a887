package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/verifier"
)

const demoText = `See Signpost work without a mail server, a domain or the network.

    signpost demo [--state FOLDER] [--once] [--reports]

It makes an RSA-2048 and an Ed25519 key for example.com and a small DNS zone
in the state folder, starts a milter with a port and a control socket of its
own, sends three messages through it (one that leaves, one genuine and one
forged that arrive), shows what became of each and what signpost status says,
and goes on running. It answers from that zone and not from DNS: do not put it
before real mail. What is in the state folder is yours to edit; delete the
folder to begin anew.

Example:

    signpost demo --state ./run
`

//go:embed demo.yaml
var demoConfig string

//go:embed demo.zone
var demoZone string

// The demonstration's selectors, one for each algorithm.
const (
	demoDomain  = "example.com"
	demoRSA     = "rsa1"
	demoEd25519 = "ed1"
)

func demoCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	f := flags("demo", demoText, stderr)
	state := f.String("state", "run", "`FOLDER` for keys, zone, configuration and log")
	once := f.Bool("once", false, "end after the three messages")
	reports := f.Bool("reports", false, "make up a month of reports, and show their page")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return wrongUsage(stderr, "demo", fmt.Sprintf("unexpected argument %q", rest[0]))
	}
	if *state == "" {
		return wrongUsage(stderr, "demo", "--state needs a folder")
	}
	if err := runDemo(*state, *once, *reports, stdout, stderr); err != nil {
		return failure(stderr, "demo", err)
	}
	return exitOK
}

func runDemo(state string, once, reports bool, stdout, stderr io.Writer) error {
	config, err := prepareDemo(state, stdout)
	if err != nil {
		return err
	}
	g, err := daemon.Load(config, time.Now, nil)
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(state, "signpost.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer logFile.Close()
	screen := &gate{to: stderr}
	d, err := daemon.New(g, config, currentVersion().Version, slog.New(slog.NewTextHandler(io.MultiWriter(logFile, screen), nil)))
	if err != nil {
		return err
	}
	served := d.Start()
	defer d.Close()
	if err := showThree(d, g, stdout); err != nil {
		return err
	}
	showStatus(config, stdout)
	if reports {
		stop, err := showReports(g, stdout)
		if err != nil {
			return err
		}
		defer stop()
	}
	if !once {
		showNext(stdout, d.Addrs()[0].String(), state)
		screen.open()
		waitForEnd(served)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return d.Shutdown(ctx)
}

// gate keeps the log off the screen until the three messages have been shown.
type gate struct {
	mu     sync.Mutex
	opened bool
	to     io.Writer
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.opened {
		return len(p), nil
	}
	return g.to.Write(p)
}

func (g *gate) open() {
	g.mu.Lock()
	g.opened = true
	g.mu.Unlock()
}

func waitForEnd(served <-chan error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-signals:
	case <-served:
	}
}

// prepareDemo creates missing files in the state folder, and returns the path of the
// configuration.
func prepareDemo(state string, stdout io.Writer) (string, error) {
	state, err := filepath.Abs(state)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(state, 0o755); err != nil {
		return "", err
	}
	keyDir := filepath.Join(state, "keys")
	records, err := demoKeys(keyDir)
	if err != nil {
		return "", err
	}
	zone := filepath.Join(state, "dns.zone")
	if err := writeOnce(zone, demoZone+records); err != nil {
		return "", err
	}
	listen, err := freeAddress()
	if err != nil {
		return "", err
	}
	config := filepath.Join(state, "signpost.yaml")
	text := strings.NewReplacer("@LISTEN@", listen, "@CONTROL@", demoControl(state), "@ZONE@", zone, "@KEYS@", keyDir, "@STATE@", filepath.Join(state, "state", "keys.json")).Replace(demoConfig)
	if err := writeOnce(config, text); err != nil {
		return "", err
	}
	p := emphasis(stdout)
	fmt.Fprintf(stdout, "%s\n", p.bold("Signpost, a demonstration"))
	fmt.Fprintf(stdout, "Folder   %s\n", state)
	fmt.Fprintf(stdout, "Keys     of %s, selectors %s (RSA-2048) and %s (Ed25519)\n", demoDomain, demoRSA, demoEd25519)
	fmt.Fprintf(stdout, "DNS      %s\n", p.yellow("dns.zone in that folder, not the network's"))
	return config, nil
}

// demoKeys makes the two keys, or loads them, and returns their zone lines.
func demoKeys(dir string) (string, error) {
	var records strings.Builder
	for selector, algorithm := range map[string]keys.Algorithm{demoRSA: keys.RSA, demoEd25519: keys.Ed25519} {
		k, err := keys.Load(dir, demoDomain, selector)
		if errors.Is(err, fs.ErrNotExist) {
			k, err = keys.Generate(dir, demoDomain, selector, algorithm, 2048)
		}
		if err != nil {
			return "", err
		}
		records.WriteString(k.ZoneLine() + "\n")
	}
	return records.String(), nil
}

// writeOnce writes a file if it does not exist, so that edits stay.
func writeOnce(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// demoControl is the demonstration's control socket, "" if its path would be too long.
func demoControl(state string) string {
	c := control.Config{Listen: "unix:" + filepath.Join(state, "control.sock")}
	c.Validate(func(string, string) { c.Listen = "" })
	return c.Listen
}

// The ports that are tried. Real milters listen elsewhere, so that the demonstration is not
// taken for one.
const firstDemoPort, lastDemoPort = 28891, 28990

// freeAddress is the first free address of the demonstration.
func freeAddress() (string, error) {
	for port := firstDemoPort; port <= lastDemoPort; port++ {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("every port from %d to %d on 127.0.0.1 is in use: end what listens there", firstDemoPort, lastDemoPort)
}

// showThree sends the three messages and shows the outcome of each.
func showThree(d *daemon.Service, g *daemon.Generation, w io.Writer) error {
	address := "inet:" + d.Addrs()[0].String()
	fmt.Fprintf(w, "Milter   %s, refuses forgeries (verifier.mode: enforce)\n", address)

	letter := crlf(demoLetter)
	leaving, err := send(address, letter, probeOptions{ip: "192.0.2.77", helo: "laptop", from: "alice@example.com", rcpt: "bob@example.net", login: "alice", queue: "DEMO1"})
	if err != nil {
		return err
	}
	show(w, "1. A letter leaves: alice has logged in and writes as alice@example.com", letter, leaving)

	signed := append(inserted(leaving), letter...)
	genuine, err := send(address, signed, probeOptions{ip: "192.0.2.10", helo: "mail.example.com", from: "alice@example.com", rcpt: "bob@example.net", queue: "DEMO2"})
	if err != nil {
		return err
	}
	show(w, "2. The same letter, signed, arrives from example.com's own server 192.0.2.10", nil, genuine)

	forgery := crlf(demoForgery)
	forged := probeOptions{ip: "203.0.113.66", helo: "mail.example.com", from: "alice@example.com", rcpt: "bob@example.net", queue: "DEMO3"}
	refused, err := send(address, forgery, forged)
	if err != nil {
		return err
	}
	show(w, "3. A forgery arrives from 203.0.113.66, with a made-up result on top", forgery, refused)
	return showMonitored(g, w, forgery, forged)
}

// showMonitored shows the fields that the forgery would have got in monitor mode.
func showMonitored(g *daemon.Generation, w io.Writer, text []byte, o probeOptions) error {
	c := g.Config.Verifier
	c.Mode = verifier.Monitor
	env, err := verifyOptions{ip: o.ip, helo: o.helo, from: o.from}.envelope()
	if err != nil {
		return err
	}
	header, body, err := message.Split(bytes.NewReader(text), message.Limits{})
	if err != nil {
		return err
	}
	t := verifier.New(c, g.Resolver, "", time.Now).Verify(context.Background(), env)
	if err := feed(t, env, header, body); err != nil {
		return err
	}
	fmt.Fprintln(w, " In monitor mode, which is the default, it would have been delivered with the")
	fmt.Fprintln(w, " made-up result removed and this one added:")
	var b bytes.Buffer
	for _, f := range t.End().Insert {
		fmt.Fprintf(&b, "+ %s: %s\n", f.Name, printableLines(strings.ReplaceAll(f.Value, "\r\n", "\n")))
	}
	showLines(w, b.String())
	return nil
}

func send(address string, text []byte, o probeOptions) (probeReport, error) {
	o.daemon, o.mta = "smtpd", "mx.example.net"
	return o.probe(address, "-", bytes.NewReader(text))
}

// inserted returns the fields that the milter inserted on top, as text.
func inserted(r probeReport) []byte {
	var b bytes.Buffer
	for i := len(r.Inserted) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "%s:%s\r\n", r.Inserted[i].Name, strings.ReplaceAll(r.Inserted[i].Value, "\n", "\r\n"))
	}
	return b.Bytes()
}

func show(w io.Writer, title string, text []byte, r probeReport) {
	fmt.Fprintf(w, "\n%s\n", emphasis(w).bold(title))
	if text != nil {
		head, _, _ := bytes.Cut(text, []byte("\r\n\r\n"))
		for _, line := range strings.Split(string(head), "\r\n") {
			fmt.Fprintf(w, " | %s\n", line)
		}
	}
	var b bytes.Buffer
	r.print(&b)
	showLines(w, b.String())
}

// showLines writes what a probe says, no wider than a terminal, with the verdict in colour.
func showLines(w io.Writer, text string) {
	p := emphasis(w)
	colours := map[string]func(string) string{"verdict: accept": p.green, "verdict: reject": p.red}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for i, part := range folded(" "+line, helpWidth) {
			if colour := colours[strings.TrimSpace(part)]; colour != nil && i == 0 {
				part = colour(part)
			}
			fmt.Fprintln(w, part)
		}
	}
}

// folded breaks a line that is longer than width octets, at blanks where it has them. Its
// continuations are indented by two octets more.
func folded(line string, width int) []string {
	var parts []string
	indent := strings.Repeat(" ", min(len(line)-len(strings.TrimLeft(line, " "))+2, width/2))
	for len(line) > width {
		cut := strings.LastIndexByte(line[:width+1], ' ')
		if cut <= len(indent) {
			cut = width
		}
		parts = append(parts, line[:cut])
		line = indent + strings.TrimLeft(line[cut:], " ")
	}
	return append(parts, line)
}

// showStatus shows what signpost status says of the demonstration.
func showStatus(config string, w io.Writer) {
	c, err := daemon.ReadControl(config)
	if err != nil || c.Path() == "" {
		return
	}
	fmt.Fprintf(w, "\n%s\n", emphasis(w).bold("4. What signpost status says now"))
	statusCommand([]string{"--config", config}, nil, w, w)
}

func showNext(w io.Writer, address, state string) {
	p := emphasis(w)
	fmt.Fprintf(w, `
%s
It answers from its own DNS, and refuses mail by it. signpost init EXAMPLE.COM
sets up a real one.

It goes on running; Ctrl-C ends it. Try, in another terminal:

    %[2]s tail --config %[3]s
    %[2]s explain --last 1 --config %[3]s
    %[2]s probe inet:%[4]s FILE --login alice

Its log follows here, and is in %[5]s.
`, p.bold(p.yellow("Do not put this daemon before real mail.")), os.Args[0], filepath.Join(state, "signpost.yaml"), address, filepath.Join(state, "signpost.log"))
}

func crlf(text string) []byte {
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

const demoLetter = `From: Alice <alice@example.com>
To: Bob <bob@example.net>
Subject: Lunch on Friday
Date: Fri, 20 Nov 2026 10:00:00 +0000
Message-ID: <lunch-1@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear Bob,

the usual place at noon?

Alice
`

const demoForgery = `Authentication-Results: mx.example.net;
 spf=pass smtp.mailfrom=example.com; dkim=pass header.d=example.com
From: Alice <alice@example.com>
To: Bob <bob@example.net>
Subject: Urgent: new bank account
Date: Fri, 20 Nov 2026 10:05:00 +0000
Message-ID: <bank-1@example.com>

Please pay into this account from now on.
`
