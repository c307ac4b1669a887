package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The content of the container image runs as its user in a root of its own, signs, and its health check tells whether
// it is well. No container engine is needed.
func TestTheContentOfTheContainerImageRuns(t *testing.T) {
	want(t)
	if os.Getuid() != 0 {
		without(t, "root, for chroot")
	}
	image := folder(t)
	out, err := exec.Command("../deploy/container/rootfs.sh", image).CombinedOutput()
	if err != nil {
		t.Fatalf("rootfs.sh: %v\n%s", err, out)
	}
	addr := freeAddr(t)
	write(t, filepath.Join(image, "etc/signpost/dns.zone"), "")
	write(t, filepath.Join(image, "etc/signpost/signpost.yaml"), `milter: { listen: ["inet:`+addr+`"] }
dns: { zone_file: /etc/signpost/dns.zone }
verifier: { authserv_id: mx.example }
signer:
  domains:
    - { domain: example.com, selectors: [s1] }
`)
	inside := func(args ...string) *exec.Cmd {
		c := exec.Command("/usr/bin/signpost", args...)
		c.Dir, c.Env = "/", []string{}
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return c
	}
	generate := exec.Command(filepath.Join(image, "usr/bin/signpost"), "keys", "generate", "--dir", filepath.Join(image, "var/lib/signpost/keys"), "example.com", "s1")
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("keys generate: %v\n%s", err, out)
	}
	check(t, exec.Command("chgrp", "-R", "65532", filepath.Join(image, "var/lib/signpost/keys")).Run())
	check(t, exec.Command("chmod", "-R", "g+rX,o=", filepath.Join(image, "var/lib/signpost/keys")).Run())

	if out, err := inside("status", "--ready").CombinedOutput(); err == nil {
		t.Errorf("the health check succeeds without a daemon: %s", out)
	}
	var log bytes.Buffer
	serve := inside("serve", "--config", "/etc/signpost/signpost.yaml")
	serve.Stdout, serve.Stderr = &log, &log
	check(t, serve.Start())
	defer func() {
		serve.Process.Signal(syscall.SIGTERM)
		if err := serve.Wait(); err != nil {
			t.Errorf("the daemon ended with %v\n%s", err, log.String())
		}
	}()
	listening(t, "tcp", addr)
	until(t, "the health check succeeds", func() bool { return inside("status", "--ready").Run() == nil })
	message := filepath.Join(folder(t), "m.eml")
	write(t, message, "From: Alice <alice@example.com>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nhello\r\n")
	out, err = signpost(t, "probe", "inet:"+addr, message, "--login", "alice", "--from", "alice@example.com").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "d=example.com") {
		t.Errorf("probe: %v\n%s", err, out)
	}
}

// The recipe follows what the content needs, and common rules: a release that is named, a user that is not root, words
// rather than a shell's line, for there is no shell in the image.
func TestTheContainerRecipe(t *testing.T) {
	text, err := os.ReadFile("../deploy/container/Containerfile")
	check(t, err)
	stages, user := 0, ""
	for line := range strings.Lines(string(text)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "", "#":
		case "FROM":
			stages++
			if name, _, _ := strings.Cut(rest, " "); name != "scratch" && !regexp.MustCompile(`:[0-9]+\.[0-9]+`).MatchString(name) {
				t.Errorf("%q names no release", line)
			}
		case "USER":
			user = rest
		case "ENTRYPOINT", "CMD", "VOLUME":
			if !strings.HasPrefix(rest, "[") {
				t.Errorf("%q needs a shell", line)
			}
		case "HEALTHCHECK":
			if !strings.Contains(rest, `CMD ["/usr/bin/signpost", "status", "--ready"]`) {
				t.Errorf("%q is not the health check", line)
			}
		case "RUN":
			if stages != 1 || !strings.Contains(rest, "deploy/container/rootfs.sh /image") {
				t.Errorf("%q is not the script that the test above runs", line)
			}
		case "WORKDIR", "COPY", "EXPOSE":
		default:
			t.Errorf("unknown instruction in %q", line)
		}
	}
	if stages != 2 || user != "65532:65532" {
		t.Errorf("%d stages, user %q", stages, user)
	}
}
