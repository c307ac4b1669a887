package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience limits every wait. It is long because the machine may be busy; a passing
// test never reaches it.
const patience = 30 * time.Second

// workDir has all files of this test run. Postfix's and Signpost's users must be able
// to enter it, which t.TempDir does not allow.
var workDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "spe2e")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	workDir = dir
	defer func() {
		for _, end := range atEnd {
			end()
		}
	}()
	return m.Run()
}

// atEnd are the actions after all tests. Tests do not run in parallel, so it needs no
// lock.
var atEnd []func()

// needs lists the programs that the tests run. They are searched for in PATH and in
// /usr/sbin, which is not in an ordinary user's PATH.
var needs = []string{"postfix", "postconf", "sendmail", "postsuper", "opendkim"}

// want skips the test if it cannot run, or fails it if it must run.
func want(t *testing.T) {
	t.Helper()
	if what := lacking(); what != "" {
		without(t, what)
	}
}

// without ends a test that cannot run: it is skipped, or fails if it must run.
func without(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SIGNPOST_E2E") == "require" {
		t.Fatalf("SIGNPOST_E2E=require, but %s", what)
	}
	t.Skip(what)
}

// wantIPv6 is want for a test that needs the system to know IPv6, as Postfix does.
func wantIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
		return
	}
	without(t, "this system has no IPv6: "+err.Error())
}

// lacking says in one line what keeps the end-to-end tests from running.
var lacking = sync.OnceValue(func() string {
	var missing []string
	for _, name := range needs {
		if _, err := exec.LookPath(name); err != nil {
			if _, err := os.Stat("/usr/sbin/" + name); err != nil {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		return "end-to-end tests need " + strings.Join(missing, ", ") + ": run e2e/install-packages.sh as root"
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import dkim").Run(); err != nil {
		return "end-to-end tests need python3-dkim: run e2e/install-packages.sh as root"
	}
	if os.Getuid() != 0 {
		return "end-to-end tests need root, for Postfix starts as root"
	}
	return ""
})

// binary is the program under test, built once.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SIGNPOST_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	if err := readSources(); err != nil {
		return "", err
	}
	path := filepath.Join(workDir, "signpost")
	build := exec.Command("go", "build", "-tags", "libcrypto", "-o", path, "signpost/cmd/signpost")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building signpost: %v\n%s", err, out)
	}
	return path, nil
})

// readSources opens every source file of the module. The go command caches a test
// result until a file that the test has opened changes; otherwise it would not notice
// changes of the program under test.
func readSources() error {
	return filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && (filepath.Ext(path) == ".go" || filepath.Base(path) == "go.mod") {
			_, err = os.Stat(path)
		}
		return err
	})
}

// folder makes a folder for one test. Its path is short: a Unix socket's must be.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(workDir, "")
	check(t, err)
	check(t, os.Chmod(dir, 0o755))
	return dir
}

// freeAddr is a loopback address with an unused port, another one at each call.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 8000 {
		// The kernel gives ports of this range only to those that ask for them: nothing takes one before the daemon does.
		// The tests of doctor use those from 20,000 on.
		portsTried++
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+(50*os.Getpid()+portsTried)%8000)); err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// portsTried is how many ports freeAddr has tried.
var portsTried int

// ids are a system user's ids, with the group of another name if one is given.
func ids(t *testing.T, name, group string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	check(t, err)
	g, err := user.LookupGroup(group)
	check(t, err)
	uid, err = strconv.Atoi(u.Uid)
	check(t, err)
	gid, err = strconv.Atoi(g.Gid)
	check(t, err)
	return uid, gid
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

// until waits for a state outside this process that gives no signal.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !comes(done) {
		t.Fatalf("waited %v in vain: %s", patience, what)
	}
}

// comes reports whether a state is reached before patience ends.
func comes(done func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
	return true
}

// listening waits until the address accepts connections.
func listening(t testing.TB, network, addr string) {
	t.Helper()
	until(t, addr+" accepts connections", func() bool { return reachable(network, addr) })
}

func reachable(network, addr string) bool {
	c, err := net.Dial(network, addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}
