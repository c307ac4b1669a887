package keys

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestAGeneratedKeyIsTheOneThatLoads(t *testing.T) {
	for _, c := range []struct {
		name, domain, selector, path string
		alg                          Algorithm
		bits, want                   int
	}{
		{"RSA of the usual length", "example.com", "s1", "example.com/s1.pem", RSA, 0, 2048},
		{"RSA of a length that was asked for", "example.com", "S2", "example.com/s2.pem", RSA, 2056, 2056},
		{"Ed25519", "Bücher.example", "e1", "xn--bcher-kva.example/e1.pem", Ed25519, 0, 256},
		{"the key of every domain", "*", "e1", "*/e1.pem", Ed25519, 0, 256},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "var", "keys")
			made, err := Generate(dir, c.domain, c.selector, c.alg, c.bits)
			if err != nil {
				t.Fatal(err)
			}
			if made.Path != filepath.Join(dir, c.path) || made.Bits != c.want || made.Algorithm != c.alg || len(made.Warnings) > 0 {
				t.Errorf("made %+v", made)
			}
			checkSigns(t, made)
			loaded, err := Load(dir, c.domain, c.selector)
			if err != nil || loaded.Record() != made.Record() {
				t.Errorf("loaded %v (%v)", loaded, err)
			}
		})
	}
}

func TestWhoMayReadAGeneratedKey(t *testing.T) {
	old := syscall.Umask(0) // the modes must be right without its help
	defer syscall.Umask(old)
	modes := func(t *testing.T, group string) (file, folder fs.FileInfo) {
		t.Helper()
		above := t.TempDir()
		check(t, os.Chmod(above, 0o755))
		parent := filepath.Join(above, "keys")
		k, err := generate(parent, Ref{"example.com", "s1"}, Ed25519, 0, group)
		check(t, err)
		file, err = os.Stat(k.Path)
		check(t, err)
		folder, err = os.Stat(filepath.Dir(k.Path))
		check(t, err)
		top, err := os.Stat(parent)
		check(t, err)
		if top.Mode() != folder.Mode() {
			t.Errorf("the key folder is %s, the domain's %s", top.Mode(), folder.Mode())
		}
		return file, folder
	}
	t.Run("its maker alone, where there is no group signpost", func(t *testing.T) {
		file, folder := modes(t, "no-such-group")
		if file.Mode().Perm() != 0o600 || folder.Mode().Perm() != 0o700 {
			t.Errorf("file %s, folder %s", file.Mode(), folder.Mode())
		}
	})
	t.Run("the group too, where root makes it", func(t *testing.T) {
		g, err := user.LookupGroup("daemon")
		if os.Geteuid() != 0 || err != nil {
			t.Skip("this needs root and a group daemon")
		}
		file, folder := modes(t, "daemon")
		uid, gid := owner(file)
		if file.Mode().Perm() != 0o640 || folder.Mode().Perm() != 0o750 || uid != 0 || strconv.Itoa(gid) != g.Gid {
			t.Errorf("file %s, folder %s", described(file), described(folder))
		}
		if _, gid := owner(folder); strconv.Itoa(gid) != g.Gid {
			t.Errorf("folder %s", described(folder))
		}
	})
}

func TestAFolderThatIsThereKeepsItsMode(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "example.com")
	check(t, os.Mkdir(folder, 0o711))
	if _, err := Generate(dir, "example.com", "s1", Ed25519, 0); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("now %v (%v)", info.Mode(), err)
	}
}

func TestAKeyIsNeverOverwritten(t *testing.T) {
	for _, there := range []string{"example.com/s1.pem", "xn--bcher-kva.example/s1.pem", "bücher.example/s1.pem"} {
		t.Run(there, func(t *testing.T) {
			dir := t.TempDir()
			path := put(t, dir, there, "ed25519-pkcs8.pem", 0o600)
			domain := strings.Split(there, "/")[0]
			_, err := Generate(dir, domain, "S1", Ed25519, 0)
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "choose a new selector") {
				t.Errorf("got %v", err)
			}
			if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, testFile(t, "ed25519-pkcs8.pem")) {
				t.Errorf("the file has changed (%v)", err)
			}
		})
	}
	t.Run("nor is a dangling link", func(t *testing.T) {
		dir := t.TempDir()
		check(t, os.Mkdir(filepath.Join(dir, "example.com"), 0o700))
		check(t, os.Symlink("nowhere", filepath.Join(dir, "example.com", "s1.pem")))
		if _, err := Generate(dir, "example.com", "s1", Ed25519, 0); !errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOfSeveralThatMakeOneKeyOneWins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	const runs = 16
	made, errs := make([]*Key, runs), make([]error, runs)
	var wg sync.WaitGroup
	for i := range runs {
		wg.Go(func() { made[i], errs[i] = Generate(dir, "example.com", "s1", Ed25519, 0) })
	}
	wg.Wait()
	loaded, err := Load(dir, "example.com", "s1")
	check(t, err)
	won := 0
	for i := range runs {
		if errs[i] != nil {
			if !errors.Is(errs[i], fs.ErrExist) {
				t.Errorf("run %d: %v", i, errs[i])
			}
			continue
		}
		won++
		if !loaded.Signer.Public().(ed25519.PublicKey).Equal(made[i].Signer.Public()) {
			t.Error("the winner's key is not the one in the file")
		}
	}
	if won != 1 {
		t.Errorf("%d runs made the key", won)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "example.com")); err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v (%v)", left, err)
	}
}

func TestWhatIsNotMade(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, domain, selector string
		alg                    Algorithm
		bits                   int
		want                   string
	}{
		{"RSA of 1024 bits", "example.com", "s1", RSA, 1024, "1024 bits: make an RSA key of 2048 bits (up to 4096, a multiple of 8)"},
		{"RSA longer than verifiers need accept", "example.com", "s1", RSA, 8192, "8192 bits: make an RSA key of 2048 bits (up to 4096, a multiple of 8)"},
		{"RSA of a crooked length", "example.com", "s1", RSA, 2049, "2049 bits: make an RSA key of 2048 bits (up to 4096, a multiple of 8)"},
		{"rsa-sha1", "example.com", "s1", "rsa-sha1", 0, `"rsa-sha1" is no algorithm of DKIM: choose rsa-sha256 or ed25519-sha256`},
		{"a path", "example.com", "../s1", Ed25519, 0, `"../s1" is not a selector: write letters, digits and hyphens, such as s2026`},
		{"a domain of one label", "localhost", "s1", Ed25519, 0, `"localhost" is not a domain: write it like example.com`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Generate(dir, c.domain, c.selector, c.alg, c.bits); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("something was made: %v", left)
	}
}

func TestAFileInTheFoldersPlaceIsTold(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "example.com"), nil, 0o600))
	_, err := Generate(dir, "example.com", "s1", Ed25519, 0)
	if err == nil || !strings.HasPrefix(err.Error(), "writing the key "+filepath.Join(dir, "example.com", "s1.pem")+": ") {
		t.Errorf("got %v", err)
	}
}
