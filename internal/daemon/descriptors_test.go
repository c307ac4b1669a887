package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"signpost/internal/dns"
	"signpost/milter"
)

// alone reports whether this process runs no other test. If not, it runs the test in such a process: other tests leave
// files open.
func alone(t *testing.T) bool {
	t.Helper()
	const name = "SIGNPOST_TEST_ALONE"
	if os.Getenv(name) == t.Name() {
		return true
	}
	c := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), name+"="+t.Name())
	switch out, err := c.CombinedOutput(); {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
	return false
}

// atLimit runs f while this process may open so many files.
func atLimit(t *testing.T, files uint64, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < files {
		t.Skipf("this process may open %d files", limit.Max)
	}
	low := limit
	low.Cur = files
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func TestConnectionsAndLookupsFitTheLimitOfOpenFiles(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, files := range []uint64{64, 100, 256, 1024, 4096} {
		for _, servers := range [][]string{{"192.0.2.1"}, {"192.0.2.1", "192.0.2.2", "192.0.2.3"}} {
			atLimit(t, files, func() {
				r, err := dns.New(dns.Config{Servers: servers, Timeout: dns.Defaults().Timeout, Tries: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				var log bytes.Buffer
				c := fitConnections(milter.Defaults(), r, slog.New(slog.NewTextHandler(&log, nil)))
				if n := c.MaxConnections + dns.Sockets(r); n >= int(files) || c.MaxConnections < int(files)/8 || dns.Sockets(r) < int(files)/8 {
					t.Errorf("of %d files %d are for connections and %d for DNS", files, c.MaxConnections, dns.Sockets(r))
				}
				if !strings.Contains(log.String(), "LimitNOFILE=") || descriptorNote(milter.Defaults(), r) == "" {
					t.Errorf("nothing is said of it: %s", log.String())
				}
			})
		}
	}
}

// The limit that is advised is enough.
func TestTheLimitThatIsAdvisedSuffices(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, connections := range []int{10, 100, 1000, 4096} {
		var wanted int
		c := milter.Defaults()
		c.MaxConnections = connections
		open := func(files int) (d descriptors) {
			atLimit(t, uint64(files), func() {
				r, err := dns.New(dns.Config{Servers: []string{"192.0.2.1"}, Timeout: dns.Defaults().Timeout, Tries: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				d = divideDescriptors(c, r)
			})
			return d
		}
		wanted = open(48).wanted(connections)
		if n := open(wanted).connections(); n < connections {
			t.Errorf("with the %d files advised for %d connections, there are %d", wanted, connections, n)
		}
	}
}
