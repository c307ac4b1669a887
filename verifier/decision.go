package verifier

import (
	"strings"

	"signpost/internal/message"
)

// applied is the disposition in the words of aggregate reports (RFC 9990).
func (d Decision) applied() string {
	if !d.Enforced {
		return "none"
	}
	switch d.Action {
	case ActReject:
		return "reject"
	case ActQuarantine, ActTag:
		return "quarantine"
	}
	return "none"
}

// notes name the rule that decided and, in monitor mode, the action of enforce mode.
func (d Decision) notes() []message.Note {
	var n []message.Note
	if d.Local != "" {
		n = append(n, message.Note{Key: "local_policy", Value: d.Local})
	}
	var would []string
	if d.Action != ActAccept {
		n = append(n, message.Note{Key: "decided", Value: d.Rule})
		if !d.Enforced {
			would = append(would, string(d.Action)+" (verifier.mode is monitor)")
		}
	}
	if d.Watched != "" && d.Watched != d.Action {
		would = append(would, string(d.Watched)+" ("+d.WatchedRule+" is in mode monitor)")
	}
	if len(would) > 0 {
		n = append(n, message.Note{Key: "would", Value: strings.Join(would, "; ")})
	}
	return n
}

// would is the action that a monitor mode, of the verifier or of an override, does not take;
// else "".
func (d Decision) would() string {
	switch {
	case !d.Enforced && d.Action != ActAccept:
		return string(d.Action)
	case d.Watched != "" && d.Watched != d.Action && d.Watched != ActAccept:
		return string(d.Watched)
	}
	return ""
}
