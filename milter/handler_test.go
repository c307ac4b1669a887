package milter

import (
	"context"
	"strings"
	"sync"
	"testing"

	"signpost/internal/message"
)

// handler is a signer and a verifier that record their calls.
type handler struct {
	mu      sync.Mutex
	ours    func(env message.Envelope) (bool, string)
	begin   func(ctx context.Context, env message.Envelope)
	header  func(env message.Envelope, h message.Header) bool
	body    func(chunk []byte) bool
	end     func(ctx context.Context, env message.Envelope, h message.Header) message.Outcome
	letters []*letter // one for each message that was begun
}

// letter is the record of one message.
type letter struct {
	handler *handler
	ctx     context.Context
	signed  bool
	first   message.Envelope // at MAIL
	env     message.Envelope // at end of header
	head    message.Header
	text    []byte
	chunks  int
	ended   bool
	cut     bool
}

func (h *handler) Outbound(env message.Envelope) (bool, string) {
	if h.ours != nil {
		return h.ours(env)
	}
	return env.AuthAuthen != "", "login " + env.AuthAuthen
}

func (h *handler) Sign(ctx context.Context, env message.Envelope) message.Transaction {
	return h.start(ctx, env, true)
}

func (h *handler) Verify(ctx context.Context, env message.Envelope) message.Transaction {
	return h.start(ctx, env, false)
}

func (h *handler) start(ctx context.Context, env message.Envelope, signed bool) message.Transaction {
	if h.begin != nil {
		h.begin(ctx, env)
	}
	l := &letter{handler: h, ctx: ctx, signed: signed, first: env}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letters = append(h.letters, l)
	return l
}

func (l *letter) Header(env message.Envelope, h message.Header) bool {
	l.env, l.head = env, h
	if l.handler.header != nil {
		return l.handler.header(env, h)
	}
	return true
}

func (l *letter) Body(chunk []byte) bool {
	l.text = append(l.text, chunk...)
	l.chunks++
	if l.handler.body != nil {
		return l.handler.body(chunk)
	}
	return true
}

func (l *letter) Cut() { l.cut = true }

func (l *letter) End() message.Outcome {
	l.ended = true
	if l.handler.end != nil {
		return l.handler.end(l.ctx, l.env, l.head)
	}
	return message.Outcome{Disposition: message.Accept}
}

func (h *handler) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.letters)
}

func (h *handler) last(t testing.TB) *letter {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.letters) == 0 {
		t.Fatal("no message was begun")
	}
	return h.letters[len(h.letters)-1]
}

func (h *handler) generation() *Generation { return &Generation{Signer: h, Verifier: h} }

// logged is a log that a test can read.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line returns the one line that has all the words.
func (l *logged) line(t testing.TB, words ...string) string {
	t.Helper()
	var found []string
next:
	for line := range strings.Lines(l.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	if len(found) != 1 {
		t.Fatalf("%d lines with %q in the log:\n%s", len(found), words, l)
	}
	return found[0]
}
