package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"signpost/internal/conformance"
	"signpost/internal/daemon"
	"signpost/internal/message"
)

// importedSetup is an installation of opendkim and what opendkim 2.11.0 signed with it.
type importedSetup struct {
	About       string   `json:"about"`
	Starts      *bool    `json:"opendkim_starts"`
	AnnouncedOK bool     `json:"announced_ok"`
	Announce    []string `json:"announce"`
	Cases       []importedMessage
}

type importedMessage struct {
	From       string   `json:"from"`
	Header     []string `json:"header"`
	ClientIP   string   `json:"client_ip"`
	Auth       string   `json:"auth"`
	Daemon     string   `json:"daemon_name"`
	Signatures []struct {
		D, S, Key string
	} `json:"signatures"`
	Announce []string `json:"announce"`
	EitherOK string   `json:"either_ok"`
}

// TestImportSuite runs the published set-ups: after an import, each message is signed
// as opendkim signed it, or the import said that it is not.
func TestImportSuite(t *testing.T) {
	s := conformance.LoadFolders(t, "opendkim-import")
	conformance.Run(t, s, s.Cases, func(t testing.TB, c conformance.Case) error {
		var setup importedSetup
		if err := json.Unmarshal(c.Raw, &setup); err != nil {
			return err
		}
		files := map[string]string{}
		for _, dir := range []string{filepath.Join(s.Dir, c.ID), filepath.Join(s.Dir, "keys")} {
			entries, err := os.ReadDir(dir)
			if err != nil {
				return err
			}
			for _, e := range entries {
				text, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					return err
				}
				files[filepath.Base(dir)+"/"+e.Name()] = string(text)
			}
		}
		return setup.check(t, c.ID, files)
	})
}

// check imports a set-up, whose files are by path with the folders ID and keys, and
// compares.
func (setup importedSetup) check(t testing.TB, id string, files map[string]string) error {
	root := t.TempDir()
	dir, keyDir := filepath.Join(root, id), filepath.Join(root, "keys")
	for name, text := range files {
		path := filepath.Join(root, name)
		text = strings.NewReplacer("@DIR@", dir, "@KEYS@", keyDir).Replace(text)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	var out, errs strings.Builder
	code := run([]string{"keys", "import", "--dir", filepath.Join(root, "imported"), filepath.Join(dir, "opendkim.conf")}, strings.NewReader(""), &out, &errs)
	said := strings.ReplaceAll(errs.String(), dir+"/", "")
	if setup.Starts != nil && !*setup.Starts {
		if code == exitOK || !announced(said, setup.Announce) {
			return fmt.Errorf("opendkim does not start with it, and the import ended with %d and said:\n%s", code, said)
		}
		return nil
	}
	if code != exitOK {
		return fmt.Errorf("the import ended with %d: %s", code, said)
	}
	config := filepath.Join(root, "signpost.yaml")
	if err := os.WriteFile(config, []byte(out.String()), 0o600); err != nil {
		return err
	}
	g, err := everyKeySigns(config)
	if err != nil {
		return fmt.Errorf("the section is no configuration: %w\n%s", err, out.String())
	}
	var silent []string
	for _, m := range setup.Cases {
		want, got := m.wanted(keyDir), m.signed(g)
		if slices.Equal(want, got) || m.EitherOK != "" {
			continue
		}
		patterns := m.Announce
		if len(patterns) == 0 {
			patterns = setup.Announce
		}
		if !setup.AnnouncedOK || !announced(said, patterns) {
			silent = append(silent, fmt.Sprintf("%s%q from %s: opendkim %v, here %v", m.From, m.Header, m.ClientIP, want, got))
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("different, and nothing was said of it:\n%s\nthe import said:\n%s%s", strings.Join(silent, "\n"), said, out.String())
	}
	return nil
}

func announced(said string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return regexp.MustCompile("(?i)" + p).MatchString(said) })
}

// wanted are the signatures as d/s/fingerprint.
func (m importedMessage) wanted(keyDir string) []string {
	var all []string
	for _, s := range m.Signatures {
		all = append(all, strings.ToLower(s.D+"/"+s.S)+"/"+keyPrint(filepath.Join(keyDir, s.Key+".private")))
	}
	slices.Sort(all)
	return all
}

// signed is what Signpost makes of the message.
func (m importedMessage) signed(g *daemon.Generation) []string {
	daemon := m.Daemon
	if daemon == "" {
		daemon = "signpost-probe"
	}
	env := message.Envelope{AuthAuthen: m.Auth, DaemonName: daemon, ClientAddr: netip.MustParseAddr(m.ClientIP)}
	if ours, _ := g.Signer.Outbound(env); !ours {
		return nil
	}
	lines := m.Header
	if len(lines) == 0 {
		lines = []string{"From: " + m.From}
	}
	var h message.Header
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h = append(h, message.Field{Name: name, Value: value})
	}
	s := g.Signer.Select(h)
	var all []string
	for _, k := range s.Keys {
		all = append(all, s.SDID+"/"+k.Selector+"/"+k.Fingerprint())
	}
	slices.Sort(all)
	return all
}

// fourKeys are throw-away keys a.private to d.private, made once.
var fourKeys = sync.OnceValue(func() map[string]string {
	files := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			panic(err)
		}
		files["keys/"+name+".private"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	}
	return files
})
