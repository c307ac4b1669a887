package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The demonstration with reports serves their page, and writes the same as files. Where Chromium is installed, it shows
// pages of both without a complaint, in both colour schemes and as narrow as a phone; SIGNPOST_SHOTS names a folder for
// the pictures.
func TestThePageOfTheReports(t *testing.T) {
	want(t)
	bin, err := binary()
	check(t, err)
	state := folder(t)
	demo := exec.Command(bin, "demo", "--reports", "--state", state)
	out, err := demo.StdoutPipe()
	check(t, err)
	check(t, demo.Start())
	defer func() { demo.Process.Signal(syscall.SIGTERM); demo.Wait() }()
	said := ""
	buffer := make([]byte, 4096)
	address := regexp.MustCompile(`http://[0-9.:]+/`)
	for address.FindString(said) == "" {
		n, err := out.Read(buffer)
		said += string(buffer[:n])
		if err != nil {
			t.Fatalf("%v after %s", err, said)
		}
	}
	go io.Copy(io.Discard, out)
	url := address.FindString(said)

	answer, err := http.Get(url + "domain/example.com")
	check(t, err)
	body, err := io.ReadAll(answer.Body)
	check(t, err)
	answer.Body.Close()
	if answer.StatusCode != 200 || !strings.Contains(string(body), "our own host") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	pages := filepath.Join(folder(t), "pages")
	if text, err := exec.Command(bin, "report", "page", "--config", filepath.Join(state, "signpost.yaml"), pages).CombinedOutput(); err != nil {
		t.Fatalf("report page: %v\n%s", err, text)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Log("there is no Chromium to look with; make nightly installs it")
		return
	}
	for _, page := range []string{url, url + "domain/example.com?days=90", url + "report/1", url + "would-refuse", "file://" + pages + "/index.html", "file://" + pages + "/domain-example.com.html"} {
		for name, arguments := range map[string][]string{"wide": {"--window-size=1200,1800"}, "phone": {"--window-size=390,1800"}, "dark": {"--window-size=1200,1800", "--force-dark-mode", "--blink-settings=preferredColorScheme=0"}} {
			look(t, chromium, page, name, arguments)
		}
	}
}

// look lets Chromium show a page, which may not complain.
func look(t *testing.T, chromium, page, name string, arguments []string) {
	t.Helper()
	dir := os.Getenv("SIGNPOST_SHOTS")
	if dir == "" {
		dir = folder(t)
	}
	picture := filepath.Join(dir, regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(page[strings.LastIndex(page, "/"):], "-")+"-"+name+".png")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, chromium, append(arguments, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--enable-logging=stderr", "--user-data-dir="+folder(t), "--screenshot="+picture, page)...)
	text, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%s, %s: %v\n%s", page, name, err, text)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("%s, %s: %s", page, name, line)
		}
	}
	if info, err := os.Stat(picture); err != nil || info.Size() < 10_000 {
		t.Errorf("%s, %s: the picture is empty, or there is none: %v", page, name, err)
	}
}

// A daemon serves the page on a unix socket, for the group and under the names of the configuration.
func TestTheDaemonServesThePageOfTheReports(t *testing.T) {
	want(t)
	dir := folder(t)
	check(t, os.Chmod(dir, 0o777))
	socket := filepath.Join(dir, "page.sock")
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone(), Reports: "  page: {listen: unix:" + socket + ", group: \"\", hosts: [reports.example]}"})
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	until(t, "the page's socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	for host, code := range map[string]int{"reports.example": 200, "localhost": 200, "evil.example": 421} {
		answer, err := client.Get("http://" + host + "/would-refuse")
		check(t, err)
		answer.Body.Close()
		if answer.StatusCode != code {
			t.Errorf("%s: %d, want %d", host, answer.StatusCode, code)
		}
	}
	d.terminate(t)
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket stays behind")
	}
}
