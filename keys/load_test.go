package keys

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"signpost/internal/openssl"
)

// put writes a file of testdata to dir/path with a mode, with any umask.
func put(t testing.TB, dir, path, file string, mode fs.FileMode) string {
	t.Helper()
	full := filepath.Join(dir, path)
	check(t, os.MkdirAll(filepath.Dir(full), 0o755))
	check(t, os.WriteFile(full, testFile(t, file), 0o600))
	check(t, os.Chmod(full, mode))
	return full
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAKeyIsFoundUnderEachSpellingOfItsName(t *testing.T) {
	for _, c := range []struct{ name, file, domain, selector, wantDomain, wantSelector string }{
		{"the plain name", "example.com/s1.pem", "example.com", "s1", "example.com", "s1"},
		{"a domain in capitals", "example.com/s1.pem", "Example.COM", "s1", "example.com", "s1"},
		{"a domain with its final dot", "example.com/s1.pem", "example.com.", "s1", "example.com", "s1"},
		{"a selector in capitals", "example.com/s1.pem", "example.com", "S1", "example.com", "s1"},
		{"a file in capitals", "example.com/S1.pem", "example.com", "S1", "example.com", "s1"},
		{"a file in capitals that the configuration has in small letters", "example.com/S1.pem", "example.com", "s1", "example.com", "s1"},
		{"a folder in Unicode with a file in capitals", "bücher.example/S1.pem", "bücher.example", "s1", "xn--bcher-kva.example", "s1"},
		{"a selector with a dot", "example.com/mail.2026.pem", "example.com", "mail.2026", "example.com", "mail.2026"},
		{"a domain in Unicode", "xn--bcher-kva.example/s1.pem", "Bücher.example", "s1", "xn--bcher-kva.example", "s1"},
		{"a folder in Unicode", "bücher.example/s1.pem", "xn--bcher-kva.example", "s1", "xn--bcher-kva.example", "s1"},
		{"both in Unicode", "bücher.example/s1.pem", "bücher.example", "s1", "xn--bcher-kva.example", "s1"},
		{"a selector in Unicode", "example.com/xn--sl-bja.pem", "example.com", "séL", "example.com", "xn--sl-bja"},
		{"the key of every domain", "*/s1.pem", "*", "s1", "*", "s1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := put(t, dir, c.file, "ed25519-pkcs8.pem", 0o600)
			k, err := Load(dir, c.domain, c.selector)
			if err != nil {
				t.Fatal(err)
			}
			if k.Domain != c.wantDomain || k.Selector != c.wantSelector || k.Path != path || len(k.Warnings) != 0 {
				t.Errorf("got %+v", k)
			}
		})
	}
}

func TestANameThatIsNoneIsRefusedBeforeAnyFileIsTouched(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "secret.pem", "ed25519-pkcs8.pem", 0o600)
	put(t, dir, "keys/example.com/s1.pem", "ed25519-pkcs8.pem", 0o600)
	for _, c := range []struct{ name, domain, selector, want string }{
		{"a path in the selector", "example.com", "../../secret", `"../../secret" is not a selector`},
		{"a path in the domain", "..", "secret", `".." is not a domain`},
		{"a slash in the domain", "example.com/../..", "secret", `"example.com/../.." is not a domain`},
		{"a wide slash in the domain", "example.com／x", "s1", "is not a domain"},
		{"NUL", "example.com", "s1\x00", `"s1\x00" is not a selector`},
		{"one label", "localhost", "s1", `"localhost" is not a domain: write it like example.com`},
		{"no domain", "", "s1", `"" is not a domain`},
		{"no selector", "example.com", "", `"" is not a selector: write letters, digits and hyphens, such as s2026`},
		{"a record in place of its selector", "example.com", "mail._domainkey.example.com", `"mail._domainkey.example.com" is the name of a record: write the selector alone, mail`},
		{"a star in the selector", "example.com", "*", `"*" is not a selector`},
		{"a name too long for DNS", strings.Repeat("a123456789.", 20) + "example", strings.Repeat("s", 40), "longer than DNS allows (253 octets): choose a shorter selector"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(filepath.Join(dir, "keys"), c.domain, c.selector)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAMissingKeySaysHowToMakeIt(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir, "Bücher.example", "S1")
	want := fmt.Sprintf("the key s1 of xn--bcher-kva.example: there is no file %s/xn--bcher-kva.example/s1.pem; make it with: "+
		"signpost keys generate --dir %s xn--bcher-kva.example s1 (if DNS has a key of this name already, put its file back instead)", dir, dir)
	if err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if got := (&missing{ref: Ref{"example.com", "s1"}, path: "/p", dir: Defaults().Dir}).Error(); !strings.Contains(got, "make it with: signpost keys generate example.com s1 (") {
		t.Errorf("in the default folder: %s", got)
	}
}

func TestASelectorThatIsASlipIsNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := Generate(dir, "example.com", "s2026", Ed25519, 0); err != nil {
		t.Fatal(err)
	}
	for selector, want := range map[string]string{"s2025": "s2026", "s202": "s2026", "S2O26": "s2026", "mail": "", "s2026x9y": ""} {
		_, err := Load(dir, "example.com", selector)
		if err == nil || strings.Contains(err.Error(), "did you mean the selector "+want+", whose file is there? If not, make it with:") != (want != "") {
			t.Errorf("%s: %v", selector, err)
		}
	}
	if _, err := Load(dir, "example.org", "s2026"); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Error(err)
	}
}

func TestWhatLiesInAKeysPlace(t *testing.T) {
	for _, c := range []struct {
		name string
		put  func(t *testing.T, path string)
		want string
	}{
		{"a folder", func(t *testing.T, path string) { check(t, os.Mkdir(path, 0o700)) }, "it is not a plain file (drwx------): put the key's PEM file there"},
		{"a pipe that nobody writes to", func(t *testing.T, path string) { check(t, syscall.Mkfifo(path, 0o600)) }, "it is not a plain file (prw-------): put the key's PEM file there"},
		{"a file larger than any key", func(t *testing.T, path string) { check(t, os.WriteFile(path, make([]byte, maxKeyFile+1), 0o600)) }, "it is larger than 65536 bytes, so it is not a key file"},
		{"a symbolic link to itself", func(t *testing.T, path string) { check(t, os.Symlink(path, path)) }, "too many levels of symbolic links"},
		{"an empty file", func(t *testing.T, path string) { check(t, os.WriteFile(path, nil, 0o600)) }, "the file is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "example.com", "s1.pem")
			check(t, os.Mkdir(filepath.Dir(path), 0o755))
			c.put(t, path)
			want := "the key s1 of example.com, " + path + ": " + c.want
			done := make(chan error, 1)
			go func() { _, err := Load(dir, "example.com", "s1"); done <- err }()
			select {
			case err := <-done:
				if err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it hangs")
			}
		})
	}
	t.Run("a symbolic link to the key is followed", func(t *testing.T) {
		dir := t.TempDir()
		target := put(t, dir, "elsewhere/shared.pem", "rsa2048-pkcs8.pem", 0o600)
		check(t, os.Mkdir(filepath.Join(dir, "example.com"), 0o755))
		check(t, os.Symlink(target, filepath.Join(dir, "example.com", "s1.pem")))
		if _, err := Load(dir, "example.com", "s1"); err != nil {
			t.Error(err)
		}
	})
}

func TestSIG_027_WhoElseMayReadOrReplaceAKey(t *testing.T) {
	const ask = "; then make a new key, since this one may be known to others; or set keys.insecure_mode: warn"
	for _, c := range []struct {
		name               string
		file, folder, keys fs.FileMode
		want               string // within the refusal; "" when it is loaded
		warning            string // when it is loaded
	}{
		{"the owner alone", 0o600, 0o700, 0o700, "", ""},
		{"the owner may only read", 0o400, 0o500, 0o500, "", ""},
		{"our group may read", 0o640, 0o750, 0o750, "", ""},
		{"our group may write", 0o660, 0o750, 0o750, "", "may change the key (-rw-rw----"},
		{"everybody may read", 0o644, 0o755, 0o755, "everybody may read or change it (-rw-r--r--", ""},
		{"everybody may write", 0o602, 0o755, 0o755, "everybody may read or change it (-rw-----w-", ""},
		{"everybody may replace it", 0o600, 0o777, 0o755, "everybody may replace files in ", ""},
		{"everybody may replace its folder", 0o600, 0o755, 0o777, "everybody may replace files in ", ""},
		{"a folder like /tmp", 0o600, 0o755, 0o777 | fs.ModeSticky, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			path := put(t, dir, "example.com/s1.pem", "rsa2048-pkcs8.pem", c.file)
			check(t, os.Chmod(filepath.Dir(path), c.folder))
			check(t, os.Chmod(dir, c.keys))
			// Without root's rights a read-only folder could not be cleaned up.
			defer func() { check(t, os.Chmod(dir, 0o700)); check(t, os.Chmod(filepath.Dir(path), 0o700)) }()
			k, err := Load(dir, "example.com", "s1")
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "chmod o-") || !strings.HasSuffix(err.Error(), ask) {
					t.Errorf("got %v", err)
				}
				// The administrator may decide otherwise.
				k, err = Config{Dir: dir, InsecureMode: InsecureWarn}.load(Ref{"example.com", "s1"})
				if err != nil || len(k.Warnings) != 1 || !strings.Contains(k.Warnings[0], c.want) {
					t.Errorf("with insecure_mode warn: %v, %+v", err, k)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(k.Warnings, "|"); (got == "") != (c.warning == "") || !strings.Contains(got, c.warning) {
				t.Errorf("warnings %q, want %q", got, c.warning)
			}
		})
	}
}

func TestSIG_027_ALinkLeadsToAFolderThatIsJudgedToo(t *testing.T) {
	dir := t.TempDir()
	target := put(t, dir, "elsewhere/shared.pem", "rsa2048-pkcs8.pem", 0o600)
	check(t, os.Chmod(filepath.Dir(target), 0o777))
	check(t, os.MkdirAll(filepath.Join(dir, "keys", "example.com"), 0o755))
	check(t, os.Symlink(target, filepath.Join(dir, "keys", "example.com", "s1.pem")))
	_, err := Load(filepath.Join(dir, "keys"), "example.com", "s1")
	if err == nil || !strings.Contains(err.Error(), "everybody may replace files in "+filepath.Dir(target)) {
		t.Errorf("got %v", err)
	}
}

func TestConfigValidate(t *testing.T) {
	with := func(change func(*Config)) Config {
		c := Defaults()
		change(&c)
		return c
	}
	noLibrary := "backend: this build has no libcrypto backend: write auto or go"
	if openssl.Built {
		noLibrary = ""
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"the defaults are good", Defaults(), ""},
		{"no state file", with(func(c *Config) { c.State = "" }), "state: a file is needed: write /var/lib/signpost/state/keys.json, or take the key out to have it"},
		{"a check each millisecond", with(func(c *Config) { c.CheckEvery = time.Millisecond }), "check_every: 1ms is out of range: write a time from 1s to 24h0m0s, as 10m"},
		{"no queue time", with(func(c *Config) { c.QueueTime = 0 }), "queue_time: 0s is out of range: write a time from 1m0s to 2160h0m0s, as 168h"},
		{"backend go", with(func(c *Config) { c.Backend, c.InsecureMode = BackendGo, InsecureWarn }), ""},
		{"no folder", with(func(c *Config) { c.Dir = "" }), "dir: a folder is needed: write /var/lib/signpost/keys, or take the key out to have it"},
		{"a backend that this build lacks", with(func(c *Config) { c.Backend = BackendOpenSSL }), noLibrary},
		{"no backend at all", with(func(c *Config) { c.Backend = "opensl" }), `backend: "opensl" is not one of auto, go, openssl: did you mean openssl?`},
		{"a strange insecure_mode", with(func(c *Config) { c.InsecureMode = "ignore" }), `insecure_mode: "ignore" is not one of refuse, warn`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			c.cfg.Validate(func(path, problem string) { got = append(got, path+": "+problem) })
			if strings.Join(got, "\n") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzPathsStayInTheFolder(f *testing.F) {
	for _, s := range [][2]string{{"example.com", "s1"}, {"Bücher.example", "S1"}, {"..", ".."}, {"*", "a"}, {"example.com／..", "../x"}, {"xn--bcher-kva.example.", "s1."}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, domain, selector string) {
		ref := Ref{domain, selector}
		name, err := ref.Canonical()
		if err != nil {
			return
		}
		for _, path := range (Config{Dir: "/k"}).paths(name, selector) {
			rel, err := filepath.Rel("/k", path)
			if err != nil || strings.Count(rel, "/") != 1 || strings.HasPrefix(rel, ".") || strings.ContainsAny(rel, "\x00\\\n") || filepath.Clean(path) != path {
				t.Fatalf("%q, %q: %q", domain, selector, path)
			}
		}
		again, err := name.Canonical()
		if err != nil || again != name {
			t.Fatalf("%q is %q, and that is %q (%v)", ref, name, again, err)
		}
	})
}

// publicAlone is a signer of another backend. Only its public key is known.
type publicAlone struct{ ed25519.PublicKey }

func (p publicAlone) Public() crypto.PublicKey { return p.PublicKey }

func (publicAlone) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }

func TestAnEd25519KeyOfSmallOrderIsNotLoaded(t *testing.T) {
	identity := make([]byte, ed25519.PublicKeySize)
	identity[0] = 1
	for _, public := range [][]byte{make([]byte, ed25519.PublicKeySize), identity, bytes.Repeat([]byte{0xff}, ed25519.PublicKeySize)} {
		if k, err := newKey(Ref{"example.com", "e1"}, publicAlone{public}); err == nil || !strings.Contains(err.Error(), "make a new key") {
			t.Errorf("%x: %v, %v", public, k, err)
		}
	}
}
