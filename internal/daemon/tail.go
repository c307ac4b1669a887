package daemon

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"signpost/internal/control"
	"signpost/internal/message"
	"signpost/internal/tail"
	"signpost/milter"
	"signpost/signer"
	"signpost/verifier"
)

// observers are told of every outcome, one after the other.
type observers []milter.Observer

func (all observers) Decided(d milter.Decided) {
	for _, o := range all {
		o.Decided(d)
	}
}

func (all observers) Refused(r milter.Refusal) {
	for _, o := range all {
		o.Refused(r)
	}
}

// observe adds an observer. Call it before Start.
func (s *Service) observe(o milter.Observer) {
	switch before := s.processors.observer.(type) {
	case nil:
		s.processors.observer = o
	case observers:
		s.processors.observer = append(before, o)
	default:
		s.processors.observer = observers{before, o}
	}
}

// openFeed makes the feed of messages and registers what commands ask of it.
func (s *Service) openFeed(m *control.Mux) {
	c := s.started.Control
	s.feed = tail.New(c.Recent, c.LocalParts)
	m.Stream("GET /tail", s.tail)
	m.Answer("GET /messages", s.messages)
}

// startFeed passes messages to the feed. Call it before Start.
func (s *Service) startFeed() {
	s.observe(s.feed)
	s.server.Swap(s.handlers(s.current))
}

// handlers are the generation's, which record the rules of a decision while a reader of the
// feed wants them.
func (s *Service) handlers(g *Generation) *milter.Generation {
	if s.feed == nil {
		return s.reporting.handlers(s.intake.handlers(g.Handlers()))
	}
	return s.reporting.handlers(s.intake.handlers(&milter.Generation{Signer: explainedSigner{g.Signer, s.feed}, Verifier: explainedVerifier{g.Verifier, s.feed, g.Signer}}))
}

// explainedSigner is a signer that records its rules while a reader wants them. Without one
// it costs one atomic load for a message.
type explainedSigner struct {
	*signer.Signer
	feed *tail.Feed
}

// Sign is the signer's.
func (s explainedSigner) Sign(ctx context.Context, env message.Envelope) message.Transaction {
	if !s.feed.Explains() || s.HandedIn(env) {
		return s.Signer.Sign(ctx, env)
	}
	var trace message.Trace
	s.ExplainOutbound(env, &trace)
	return s.Explain(ctx, env, &trace)
}

// explainedVerifier is the same for mail that is judged.
type explainedVerifier struct {
	*verifier.Verifier
	feed   *tail.Feed
	signer *signer.Signer
}

// Verify is the verifier's.
func (v explainedVerifier) Verify(ctx context.Context, env message.Envelope) message.Transaction {
	if !v.feed.Explains() {
		return v.Verifier.Verify(ctx, env)
	}
	var trace message.Trace
	v.signer.ExplainOutbound(env, &trace)
	return v.Explain(ctx, env, &trace)
}

// tail answers with each message that matches the filter in the request, until the client
// goes away.
func (s *Service) tail(r *http.Request, stream *control.Stream) error {
	filter, err := tail.ParseFilter(r.URL.Query(), verifier.Values())
	if err != nil {
		return &control.Error{Status: http.StatusBadRequest, Problem: err.Error(), Remedy: "signpost tail --help lists the filters"}
	}
	reader := s.feed.Subscribe(filter, r.URL.Query().Get("explain") != "")
	defer reader.Close()
	err = stream.Send(tail.Watching{Watching: true})
	for err == nil {
		var event *tail.Event
		var lost uint64
		event, lost, err = reader.Next(r.Context())
		if err == nil && lost > 0 {
			err = stream.Send(tail.Lost{Lost: lost})
		}
		if err == nil && event != nil {
			err = stream.Send(event)
		}
	}
	return err
}

// Messages is the answer to /messages: what is kept of the last messages, the oldest first.
type Messages struct {
	Messages []tail.Event `json:"messages"`
	Keeps    int          `json:"keeps"` // control.recent
}

// messages answers with the last messages, or with those of a queue id.
func (s *Service) messages(r *http.Request) (any, error) {
	if s.feed.Keeps() == 0 {
		return nil, &control.Error{Status: http.StatusNotFound, Problem: "control.recent is 0: nothing is kept of messages",
			Remedy: "write control: {recent: 1000} and restart the daemon, or watch with signpost tail --explain"}
	}
	q := r.URL.Query()
	if id := q.Get("queue_id"); id != "" {
		return Messages{s.feed.Queue(id), s.feed.Keeps()}, nil
	}
	n, err := strconv.Atoi(q.Get("last"))
	if err != nil || n < 1 {
		return nil, &control.Error{Status: http.StatusBadRequest, Problem: fmt.Sprintf("last=%q is not a number from 1", q.Get("last")), Remedy: "ask for last=10"}
	}
	return Messages{s.feed.Last(n), s.feed.Keeps()}, nil
}
