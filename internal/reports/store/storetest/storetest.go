// Package storetest runs a test on each kind of database: SQLite, and a PostgreSQL server of
// the test's own. A package that uses it has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"signpost/internal/reports/store"
)

// Main runs the tests of a package, and stops the server that they share.
func Main(m *testing.M) {
	inUse.Store(true)
	code := m.Run()
	if s, err := shared(); s != nil && err == nil {
		s.close()
	}
	os.Exit(code)
}

var (
	inUse   atomic.Bool // Main was called
	started atomic.Bool // a test has asked for the shared server
	number  atomic.Int64
)

// shared is the server for the tests that do not stop it, started by the first of them.
func shared() (*Server, error) {
	if !started.Load() {
		return nil, nil
	}
	return sharedOnce()
}

var sharedOnce = sync.OnceValues(start)

// Each runs a test on an empty database of each kind.
func Each(t *testing.T, run func(t *testing.T, a store.Address)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { run(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { run(t, Postgres(t)) })
}

// SQLite is the address of a file that does not exist yet.
func SQLite(t testing.TB) store.Address {
	return store.Address("sqlite:" + filepath.Join(t.TempDir(), "state", "reports.db"))
}

// Postgres is the address of an empty database on the server that the tests of a package
// share. Where there is no PostgreSQL, the test is skipped; with SIGNPOST_E2E=require it fails.
func Postgres(t testing.TB) store.Address {
	t.Helper()
	if !inUse.Load() {
		t.Fatal("the package needs func TestMain(m *testing.M) { storetest.Main(m) }")
	}
	started.Store(true)
	s, err := sharedOnce()
	if err != nil {
		without(t, err)
	}
	name := fmt.Sprintf("test%d", number.Add(1))
	if err := s.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return s.Address(name)
}

// NewServer starts a server for a test that stops it, with the database "postgres".
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	if err != nil {
		without(t, err)
	}
	t.Cleanup(s.close)
	return s
}

func without(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("SIGNPOST_E2E") == "require" {
		t.Fatalf("SIGNPOST_E2E=require, but %v", err)
	}
	t.Skip(err)
}

// Server is a PostgreSQL server on a unix socket in a folder of its own.
type Server struct {
	bin, dir string
	as       *syscall.Credential // nil: the user of the test
	watcher  *exec.Cmd
	alive    io.Closer // what the watcher reads: it ends with this process
}

// errNone is wrapped by the reasons why a server cannot be started here.
var errNone = errors.New("PostgreSQL is not installed: run e2e/install-packages.sh as root")

// start makes a cluster and starts it. The server does not run as root.
func start() (*Server, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, errNone
	}
	dir, err := os.MkdirTemp("", "pg") // a short name, for the socket
	if err != nil {
		return nil, err
	}
	// Daemons of other users reach the socket.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	s := &Server{bin: filepath.Dir(found[len(found)-1]), dir: dir}
	if err := s.own(); err != nil {
		return nil, err
	}
	if err := s.run("initdb", "-D", s.data(), "-A", "trust", "-N", "-U", "postgres", "-E", "UTF8", "--locale=C"); err != nil {
		return nil, err
	}
	if err := s.control("start"); err != nil {
		return nil, err
	}
	return s, s.watch()
}

// watch starts a process that stops the server and removes its folder when this process has
// ended, also one that was killed or whose time was up.
func (s *Server) watch() error {
	input, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	s.alive = alive
	s.watcher = exec.Command("sh", "-c", `cat
pid=$0/data/postmaster.pid
server=$(head -n 1 "$pid") && kill -QUIT "$server" && while [ -e "$pid" ] && kill -0 "$server"; do sleep 0.1; done
rm -rf "$0"`, s.dir)
	s.watcher.Stdout = os.Stdout // who waits for the test's output waits for the watcher too
	s.watcher.Stdin = input
	s.watcher.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return s.watcher.Start()
}

// own gives the folder to the user that the server runs as.
func (s *Server) own() error {
	if os.Getuid() != 0 {
		return nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		return errNone
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) run(name string, args ...string) error {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	if s.as != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	}
	// The server keeps the descriptors that it gets, so there is no pipe to wait for.
	out, err := os.Create(filepath.Join(s.dir, "out"))
	if err != nil {
		return err
	}
	defer out.Close()
	c.Stdout, c.Stderr = out, out
	if err := c.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, text)
	}
	return nil
}

func (s *Server) control(args ...string) error {
	return s.run("pg_ctl", append([]string{"-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"),
		"-o", "-c listen_addresses='' -c max_connections=40 -F -k " + s.dir}, args...)...)
}

func (s *Server) close() {
	_ = s.control("stop", "-m", "immediate") // it may be stopped already
	_ = os.RemoveAll(s.dir)
	_ = s.alive.Close()
	_ = s.watcher.Wait() // it has nothing left to do
}

// Stop ends the server as a crash does. Its clients lose their connections.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.control("stop", "-m", "immediate"); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server again, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.control("start"); err != nil {
		t.Fatal(err)
	}
}

// Address is that of a database on the server.
func (s *Server) Address(database string) store.Address {
	return store.Address(fmt.Sprintf("postgres:///%s?host=%s&user=postgres", database, s.dir))
}

func (s *Server) exec(statement string) error {
	db, err := sql.Open("pgx", string(s.Address("postgres")))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

// Open opens a database, and closes it with the test.
func Open(t testing.TB, a store.Address) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
