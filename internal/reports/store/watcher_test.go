package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"signpost/internal/reports/store/storetest"
)

const killed = "SIGNPOST_TEST_KILLED_WITH_A_SERVER"

func TestTheProcessThatIsKilled(t *testing.T) {
	if os.Getenv(killed) == "" {
		return // it is only for the test below
	}
	fmt.Println("server", storetest.NewServer(t).Address("postgres"))
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// A test that is killed leaves no server: it would keep what it inherited, such as locks.
func TestAServerEndsWithItsTest(t *testing.T) {
	c := exec.Command(os.Args[0], "-test.run=^TestTheProcessThatIsKilled$")
	c.Env = append(os.Environ(), killed+"=1")
	out, _ := c.Output()
	_, address, found := strings.Cut(string(out), "server postgres://postgres@")
	if !found && c.ProcessState.Success() {
		t.Skip("PostgreSQL is not installed")
	}
	if !found {
		t.Fatalf("%s", out)
	}
	folder := strings.TrimSuffix(strings.TrimSpace(address), "/postgres")
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", folder, err)
	}
}
