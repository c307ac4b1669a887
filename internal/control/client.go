package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os/user"
	"syscall"
)

// Client asks a running daemon. It is safe for concurrent use.
type Client struct {
	path, group string
	http        *http.Client
	first       chan net.Conn // the connection of Dial, until the first request uses it
}

// maxLine is the longest line of a stream, in octets.
const maxLine = 1 << 20

// Dial connects to the daemon's control socket. Every error, here and of the client's methods,
// is an *[Error] that says what to do: the socket is off by configuration, no daemon runs, or
// the user may not connect.
func Dial(ctx context.Context, c Config) (*Client, error) {
	path := c.Path()
	if path == "" {
		return nil, &Error{Problem: `control.listen is "": the daemon has no control socket, and cannot be asked`,
			Remedy: "write control: {listen: unix:/run/signpost/control.sock} and restart the daemon"}
	}
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, unreachable(path, c.Group, err)
	}
	first := make(chan net.Conn, 1)
	first <- conn
	transport := &http.Transport{
		DisableCompression: true, MaxIdleConns: 1, IdleConnTimeout: idleTime / 2,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case conn := <-first:
				return conn, nil
			default:
				return dial(ctx, path)
			}
		},
	}
	return &Client{path: path, group: c.Group, http: &http.Client{Transport: transport}, first: first}, nil
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	d := net.Dialer{Timeout: requestTime}
	return d.DialContext(ctx, "unix", path)
}

// Close closes the idle connection.
func (c *Client) Close() {
	select {
	case conn := <-c.first: // there was no request
		_ = conn.Close()
	default:
		c.http.CloseIdleConnections()
	}
}

// Get decodes the JSON answer to a path, such as "/status?all=1", into the value that into
// points to. It takes at most 30 seconds.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	body, err := c.ask(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return &Error{Problem: fmt.Sprintf("the answer of the daemon at %s to %s: %v", c.path, path, err),
			Remedy: "the daemon may be of another version: systemctl restart signpost"}
	}
	return nil
}

// Lines calls each with every line of a stream, without its end, until the stream or ctx ends,
// or each returns an error, which Lines returns. The octets are valid during the call. It
// returns nil where ctx has ended, and an error where the daemon ended the stream.
func (c *Client) Lines(ctx context.Context, path string, each func(line []byte) error) error {
	body, err := c.ask(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return &Error{Problem: "the daemon has ended the connection", Remedy: "it was stopped or restarted: run the command again"}
}

// ask sends a request and returns the body of a good answer.
func (c *Client) ask(ctx context.Context, path string) (io.ReadCloser, error) {
	// The host of the URL is not used.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://signpost"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, unreachable(c.path, c.group, err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusForbidden {
		return nil, notPermitted(c.path, c.group, ownName())
	}
	return nil, refusal(answer, path)
}

// refusal reads the error of an answer.
func refusal(answer *http.Response, path string) error {
	e := &Error{}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxRequest)).Decode(e); err != nil || e.Problem == "" {
		e = &Error{Problem: fmt.Sprintf("the daemon answers %s to %s", answer.Status, path)}
		if answer.StatusCode == http.StatusNotFound {
			e.Remedy = "it is of another version than this command: systemctl restart signpost"
		}
	}
	e.Status = answer.StatusCode
	return e
}

// unreachable says what to do where the daemon does not answer at the socket.
func unreachable(path, group string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return notPermitted(path, group, ownName())
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Problem: "there is no control socket " + path + ": the daemon does not run, or runs without one",
			Remedy: "systemctl status signpost; its log says why: journalctl -u signpost"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Problem: "the daemon does not run: no process listens at " + path, Remedy: "systemctl start signpost; journalctl -u signpost says why it ended"}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return &Error{Problem: fmt.Sprintf("the daemon does not answer at %s", path),
			Remedy: fmt.Sprintf("it may have as many connections as it allows (%d), or hang: systemctl status signpost", MaxConnections)}
	}
	return &Error{Problem: fmt.Sprintf("asking the daemon at %s: %v", path, err), Remedy: "systemctl status signpost"}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// notPermitted says how a user gets in. name is its name, or "USER".
func notPermitted(path, group, name string) *Error {
	e := &Error{Problem: "this user may not ask the daemon at " + path, Remedy: "run it as root"}
	if group != "" {
		e.Remedy += fmt.Sprintf(", or become a member of its group and log in again: usermod -aG %s %s", group, name)
	}
	return e
}

func ownName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "USER"
}
