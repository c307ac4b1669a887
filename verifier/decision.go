package verifier

import "signpost/internal/message"

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
	if d.Action == ActAccept {
		if d.Local != "" {
			return []message.Note{{Key: "local_policy", Value: d.Local}}
		}
		return nil
	}
	n := []message.Note{{Key: "decided", Value: d.Rule}}
	if !d.Enforced {
		n = append(n, message.Note{Key: "would", Value: string(d.Action) + " (verifier.mode is monitor)"})
	}
	return n
}

// would is the action of enforce mode, if monitor mode is on; else "".
func (d Decision) would() string {
	if d.Enforced || d.Action == ActAccept {
		return ""
	}
	return string(d.Action)
}
