package tlsrpt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"signpost/internal/reports/refusal"
)

// Limits of one report. Real ones have a few kilobytes.
const (
	MaxBytes    = 8 << 20
	maxPolicies = 1000
	maxFailures = 10_000 // of all policies together
	maxText     = 1000
)

// Read reads one report up to the end of its JSON value. It takes numbers written as text, null and
// missing members, and unknown ones, and octets that are no UTF-8. Errors of the report are
// *refusal.Error; those of in are returned as they are.
func Read(in io.Reader) (*Report, error) {
	limited := &io.LimitedReader{R: in, N: MaxBytes + 1}
	buffered := bufio.NewReader(limited)
	if mark, _ := buffered.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		buffered.Discard(3)
	}
	var raw rawReport
	err := json.NewDecoder(buffered).Decode(&raw)
	switch {
	case limited.N <= 0:
		return nil, refusal.TooBig.With("more than %d octets of JSON", MaxBytes)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, refusal.Truncated.With("the JSON does not end")
	case isRefusal(err):
		return nil, err
	case isJSONError(err):
		return nil, refusal.Malformed.With("%v", err)
	case err != nil:
		return nil, err
	case raw.Policies.list == nil && raw.DateRange == nil:
		return nil, refusal.NoReport.With("JSON without policies and date-range")
	}
	return raw.report()
}

func isRefusal(err error) bool {
	_, is := errors.AsType[*refusal.Error](err)
	return is
}

func isJSONError(err error) bool {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	return syntax || kind
}

// The members of the JSON (RFC 8460 §4.4), each as loose as reporters are.
type rawReport struct {
	Org       text       `json:"organization-name"`
	DateRange *rawPeriod `json:"date-range"`
	Contact   text       `json:"contact-info"`
	ID        text       `json:"report-id"`
	Policies  policies   `json:"policies"`
}

// A list may have one element without brackets. Its elements are read one by one, and no more than the limit: a list
// of nothing takes three octets for each of them.
type list[T any] []T

type policies struct{ list[rawPolicy] }

func (p *policies) UnmarshalJSON(b []byte) error {
	failures := 0
	return p.read(b, maxPolicies, func(one *rawPolicy) error {
		if failures += len(one.Failures.list); failures > maxFailures {
			return refusal.TooManyRecords.With("more than %d failures", maxFailures)
		}
		return nil
	})
}

type failures struct{ list[rawFailure] }

func (f *failures) UnmarshalJSON(b []byte) error {
	return f.read(b, maxFailures, func(*rawFailure) error { return nil })
}

func (l *list[T]) read(b []byte, most int, judge func(*T) error) error {
	*l = nil
	if len(b) == 0 || b[0] != '[' {
		return l.readOne(b, judge)
	}
	*l = list[T]{}
	in := json.NewDecoder(bytes.NewReader(b))
	if _, err := in.Token(); err != nil {
		return err
	}
	for in.More() {
		if len(*l) == most {
			return refusal.TooManyRecords.With("more than %d elements in one list", most)
		}
		var one T
		if err := in.Decode(&one); err != nil {
			return err
		}
		if err := judge(&one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

// readOne reads an element without brackets, or null.
func (l *list[T]) readOne(b []byte, judge func(*T) error) error {
	if string(b) == "null" {
		return nil
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = list[T]{one}
	return judge(&one)
}

type rawPeriod struct {
	Start text `json:"start-datetime"`
	End   text `json:"end-datetime"`
}

type rawPolicy struct {
	Policy struct {
		Type   text `json:"policy-type"`
		Domain text `json:"policy-domain"`
	} `json:"policy"`
	Summary struct {
		Succeeded number `json:"total-successful-session-count"`
		Failed    number `json:"total-failure-session-count"`
	} `json:"summary"`
	Failures failures `json:"failure-details"`
}

type rawFailure struct {
	Result   text   `json:"result-type"`
	Sender   text   `json:"sending-mta-ip"`
	MXHost   text   `json:"receiving-mx-hostname"`
	Helo     text   `json:"receiving-mx-helo"`
	Receiver text   `json:"receiving-ip"`
	Count    number `json:"failed-session-count"`
	Info     text   `json:"additional-information"`
	Reason   text   `json:"failure-reason-code"`
}

// A text is a string, or what else stands in its place as it is written; null is "".
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*t = text(clean(s))
	return nil
}

// A number is a count; text with digits counts too, and what is none is 0.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(b), `" `), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 1e9 {
		f = 0
	}
	*n = number(f)
	return nil
}

// clean returns s on one line, without controls, cut to maxText.
func clean(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return cut(strings.Join(strings.Fields(s), " "), maxText)
}

// cut returns at most limit octets of s, and whole characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func (raw *rawReport) report() (*Report, error) {
	r := &Report{OrgName: string(raw.Org), Contact: string(raw.Contact), ReportID: string(raw.ID)}
	if r.OrgName == "" {
		r.OrgName = domain(r.Contact)
	}
	if r.OrgName == "" {
		return nil, refusal.NoReporter.With("neither organization-name nor contact-info")
	}
	if raw.DateRange == nil {
		return nil, refusal.BadPeriod.With("no date-range")
	}
	var beginOK, endOK bool
	r.Begin, beginOK = instant(raw.DateRange.Start)
	r.End, endOK = instant(raw.DateRange.End)
	if !beginOK || !endOK || r.End.Before(r.Begin) {
		return nil, refusal.BadPeriod.With("start %q, end %q", raw.DateRange.Start, raw.DateRange.End)
	}
	return r, r.addPolicies(raw.Policies.list)
}

func (r *Report) addPolicies(policies []rawPolicy) error {
	for _, p := range policies {
		one := Policy{Type: strings.ToLower(string(p.Policy.Type)), Domain: domain(string(p.Policy.Domain)),
			Succeeded: int64(p.Summary.Succeeded), Failed: int64(p.Summary.Failed)}
		for _, f := range p.Failures.list {
			one.Failures = append(one.Failures, f.failure())
		}
		if one.Domain != "" {
			r.Policies = append(r.Policies, one)
		}
	}
	// An empty list is a report of no session. Some reporters send it.
	if len(r.Policies) == 0 && (policies == nil || len(policies) > 0) {
		return refusal.NoDomain.With("no policy names a domain")
	}
	return nil
}

func (f *rawFailure) failure() Failure {
	return Failure{ResultType: strings.ToLower(string(f.Result)), Sender: address(f.Sender), MXHost: domain(string(f.MXHost)),
		Helo: string(f.Helo), Receiver: address(f.Receiver), Count: int64(f.Count), Info: string(f.Info), ReasonCode: string(f.Reason)}
}

func address(t text) netip.Addr {
	a, err := netip.ParseAddr(strings.Trim(string(t), "[] "))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func domain(s string) string {
	s = s[strings.LastIndexByte(s, '@')+1:]
	return cut(strings.ToLower(strings.Trim(s, " .<>")), 255)
}

// instant reads RFC 3339, which RFC 8460 wants, the same without a zone, or seconds since 1970.
func instant(t text) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if at, err := time.Parse(layout, string(t)); err == nil {
			return at.UTC().Truncate(time.Second), true
		}
	}
	n, err := strconv.ParseFloat(string(t), 64)
	if err != nil || math.IsNaN(n) || n < 1 || n > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(n), 0).UTC(), true
}
