package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// An Error is a problem with its remedy: what the server answers instead of a result, and what
// a client's calls return. Status is the HTTP status code, 0 where there was no answer.
type Error struct {
	Status  int    `json:"-"`
	Problem string `json:"error"`
	Remedy  string `json:"remedy,omitempty"`
}

func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Problem
	}
	return e.Problem + "; " + e.Remedy
}

// Mux has the answers of the daemon by path. Register them before Serve. Its functions are
// called by many goroutines at once.
type Mux struct {
	mux     http.ServeMux
	streams chan struct{} // one for each running stream
}

// NewMux returns a mux without answers.
func NewMux() *Mux { return &Mux{streams: make(chan struct{}, maxStreams)} }

// Answer registers the JSON answer to a pattern of [http.ServeMux], such as "GET /status". An
// error that is an *[Error] is told as it is; another one has status 500.
func (m *Mux) Answer(pattern string, answer func(*http.Request) (any, error)) {
	m.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v, err := answer(r)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, v)
	})
}

// Stream registers an answer of many lines, which goes on until run returns, the client goes
// away, or the daemon ends. At most 6 streams of all patterns run at once; a further one gets
// status 503. An error of run before the first line is answered as in Answer; after it, it ends
// the stream.
func (m *Mux) Stream(pattern string, run func(*http.Request, *Stream) error) {
	m.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		select {
		case m.streams <- struct{}{}:
			defer func() { <-m.streams }()
		default:
			writeError(w, &Error{Status: http.StatusServiceUnavailable, Problem: fmt.Sprintf("%d readers are connected already", maxStreams), Remedy: "end one of them: a running signpost tail"})
			return
		}
		s := &Stream{to: w, control: http.NewResponseController(w)}
		// The server's read timeout would end the request's context.
		_ = s.control.SetReadDeadline(time.Time{})
		if err := run(r, s); err != nil && !s.begun {
			writeError(w, err)
		}
	})
}

// Stream is an answer of many lines. It is for one goroutine.
type Stream struct {
	to      http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// Send writes a line of JSON at once. It returns an error where the client has gone, or did not
// read for 30 seconds: then the stream is over. Where writing may wait, keep the lines in a
// bounded queue of your own, and drop what does not fit.
func (s *Stream) Send(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("a line of a stream: %w", err)
	}
	s.Begin()
	_ = s.control.SetWriteDeadline(time.Now().Add(answerTime))
	if _, err := s.to.Write(append(text, '\n')); err != nil {
		return err
	}
	return s.control.Flush()
}

// Begin sends the header, before a first line that may come much later.
func (s *Stream) Begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.to.Header().Set("Content-Type", "application/x-ndjson")
	s.to.WriteHeader(http.StatusOK)
	_ = s.control.SetWriteDeadline(time.Now().Add(answerTime))
	_ = s.control.Flush()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client has gone
}

func writeError(w http.ResponseWriter, err error) {
	e, ok := err.(*Error)
	if !ok {
		e = &Error{Problem: err.Error()}
	}
	status := e.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	writeJSON(w, status, e)
}
