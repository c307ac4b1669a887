package milter

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// appendOutcome appends the packets for an outcome: the changes to the header, then the final
// answer. After an error, discard the appended octets: the MTA cannot do this.
func appendOutcome(out []byte, a agreement, h message.Header, o *message.Outcome) ([]byte, error) {
	switch o.Disposition {
	case message.Accept, message.Quarantine:
	case message.Reject, message.Tempfail:
		return appendReply(out, o.Disposition, o.Reply), nil
	default:
		return out, fmt.Errorf("disposition %q is none", string(o.Disposition))
	}

	// Deletions come first, since an insertion would change their numbers.
	out, err := appendDeletions(out, a, h, o.Remove)
	if err != nil {
		return out, err
	}
	// Each insertion at 0 goes above the previous one.
	for _, f := range slices.Backward(o.Insert) {
		if out, err = appendInsertion(out, a, f); err != nil {
			return out, err
		}
	}
	out = appendDropped(out, a, o.Drop)
	if o.Disposition == message.Quarantine {
		if out, err = appendQuarantine(out, a, o.QuarantineReason); err != nil {
			return out, err
		}
	}
	return append(out, 0, 0, 0, 1, byte(gomilter.ActAccept)), nil
}

// appendDeletions deletes fields by their index in the header that was judged.
//
// Both MTAs count the fields of one name from 1, without regard to case, over the header that
// they sent, which has not their own Received. Postfix counts again after each deletion
// (cleanup_del_header), Sendmail does not (milter_changeheader). Deleting from the bottom up
// works with both.
func appendDeletions(out []byte, a agreement, h message.Header, remove []int) ([]byte, error) {
	if len(remove) == 0 {
		return out, nil
	}
	if !a.can(gomilter.OptChangeHeader) {
		return out, fmt.Errorf("%d header fields have to be deleted, and the MTA does not let us (SMFIF_CHGHDRS): "+
			"use an MTA with milter protocol 6", len(remove))
	}
	marked := make([]bool, len(h))
	for _, i := range remove {
		if i < 0 || i >= len(h) {
			return out, fmt.Errorf("field %d is to be deleted, of %d", i, len(h))
		}
		marked[i] = true
	}
	number := make([]uint32, len(h))
	count := map[string]uint32{}
	for i, f := range h {
		key := strings.ToLower(fieldName(f))
		count[key]++
		number[i] = count[key]
	}
	for i, f := range slices.Backward(h) {
		if marked[i] {
			start := len(out)
			out = append(out, 0, 0, 0, 0, byte(gomilter.ActChangeHeader))
			out = binary.BigEndian.AppendUint32(out, number[i])
			out = append(out, fieldName(f)...)
			out = append(out, 0, 0) // the empty value deletes
			out = closePacket(out, start)
		}
	}
	return out, nil
}

// fieldName is the MTA's name for a field. Neither Postfix (is_header) nor Sendmail (chompheader)
// counts blanks before the colon as part of the name.
func fieldName(f message.Field) string { return strings.TrimRight(f.Name, " \t") }

// appendInsertion puts a field on top. Index 0 is above the MTA's own Received: in insertions,
// unlike in deletions, Postfix counts that field (cleanup_ins_header). Sendmail inserts below
// the head of its list, which is a Return-Path that it does not write (insheader).
func appendInsertion(out []byte, a agreement, f message.Field) ([]byte, error) {
	if !validName(f.Name) {
		return out, fmt.Errorf("%q is not the name of a header field", f.Name)
	}
	start := len(out)
	out = append(out, 0, 0, 0, 0, byte(gomilter.ActInsertHeader), 0, 0, 0, 0)
	out = append(out, f.Name...)
	out = append(out, 0)
	// Without the flag, the MTA writes the blank.
	if a.has(gomilter.OptHeaderLeadingSpace) {
		out = append(out, ' ')
	}
	out = appendValue(out, f.Value)
	out = append(out, 0)
	if len(out)-start-4 > maxAnswer {
		return out, fmt.Errorf("the field %s has %d octets, more than an MTA takes", f.Name, len(f.Value))
	}
	return closePacket(out, start), nil
}

// validName: RFC 5322 §3.6.8, printable ASCII without colon.
func validName(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' || name[i] == ':' {
			return false
		}
	}
	return name != ""
}

// appendValue appends a field's value in the form of the protocol, folded with LF. The value cannot
// end the field: CR and NUL are removed, and a line end without a following blank becomes a blank.
func appendValue(out []byte, value string) []byte {
	for i := range len(value) {
		switch c := value[i]; c {
		case '\r', 0:
		case '\n':
			next := strings.TrimLeft(value[i+1:min(len(value), i+4)], "\r\x00")
			if next != "" && (next[0] == ' ' || next[0] == '\t') {
				out = append(out, '\n')
			} else {
				out = append(out, ' ')
			}
		default:
			out = append(out, c)
		}
	}
	return out
}

// appendDropped takes recipients off. Neither MTA minds if none is left: the message ends there.
func appendDropped(out []byte, a agreement, recipients []string) []byte {
	if !a.can(gomilter.OptRemoveRcpt) {
		return out
	}
	for _, path := range recipients {
		start := len(out)
		out = append(out, 0, 0, 0, 0, byte(gomilter.ActDelRcpt), '<')
		out = append(out, path...)
		out = append(out, '>', 0)
		out = closePacket(out, start)
	}
	return out
}

func appendQuarantine(out []byte, a agreement, reason string) ([]byte, error) {
	if !a.can(gomilter.OptQuarantine) {
		return out, fmt.Errorf("the message has to be held, and the MTA does not let us (SMFIF_QUARANTINE): " +
			"set on_reject and on_quarantine to tag or reject")
	}
	// Postfix shows the first 100 octets.
	const longest = 200
	reason = clean(reason, longest)
	if reason == "" {
		reason = "held"
	}
	start := len(out)
	out = append(out, 0, 0, 0, 0, byte(gomilter.ActQuarantine))
	out = append(out, reason...)
	out = append(out, 0)
	return closePacket(out, start), nil
}
