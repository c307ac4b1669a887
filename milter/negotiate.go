package milter

import (
	"encoding/binary"
	"fmt"
	"strings"

	gomilter "github.com/emersion/go-milter"
)

// Supported protocol versions. The abilities of an MTA follow from the offered flags, not from the
// version.
const (
	oldestVersion = 2
	newestVersion = 6
)

// wantedActions are requested if they are offered.
const wantedActions = gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine | gomilter.OptSetSymList | gomilter.OptRemoveRcpt

// unansweredSteps are the steps that we do not answer, or that we do not receive at all, since the
// message is decided at its end. MAIL is answered while earlyEnvelope says so.
//
// Macros of a step arrive even if the step itself is not sent.
const unansweredSteps = gomilter.OptNoUnknown | gomilter.OptNoData |
	gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoRcptReply |
	gomilter.OptNoDataReply | gomilter.OptNoUnknownReply |
	gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply | gomilter.OptNoBodyReply

// agreement has the negotiated options of one connection.
type agreement struct {
	version uint32
	actions gomilter.OptAction
	steps   gomilter.OptProtocol
}

// can reports whether the MTA permits the action.
func (a agreement) can(action gomilter.OptAction) bool { return a.actions&action != 0 }

// has reports whether the step flag is agreed.
func (a agreement) has(step gomilter.OptProtocol) bool { return a.steps&step != 0 }

// negotiate returns the part of the MTA's offer that a connection uses. early: the MTA waits for an answer at
// MAIL, and so delivers the envelope at once.
func negotiate(offer []byte, early bool) (agreement, error) {
	if len(offer) < 12 {
		return agreement{}, fmt.Errorf("option packet of %d octets, 12 are needed: this is no milter client", len(offer))
	}
	version := binary.BigEndian.Uint32(offer)
	if version < oldestVersion {
		return agreement{}, fmt.Errorf("milter protocol version %d is too old: set milter_protocol = 6 in the MTA", version)
	}
	offered := gomilter.OptAction(binary.BigEndian.Uint32(offer[4:]))
	if offered&gomilter.OptAddHeader == 0 {
		return agreement{}, fmt.Errorf("the MTA does not let us add header fields (actions offered: %#x): "+
			"neither a signature nor a result can be written; use an MTA with milter protocol 6", uint32(offered))
	}
	steps := gomilter.OptProtocol(binary.BigEndian.Uint32(offer[8:]))
	wanted := unansweredSteps | gomilter.OptHeaderLeadingSpace
	if !early {
		wanted |= gomilter.OptNoMailReply
	}
	if steps&gomilter.OptNoBodyReply == 0 {
		// SKIP is an answer to a piece of the body, so it needs answers to pieces of the body.
		wanted |= gomilter.OptSkip
	}
	return agreement{
		version: min(version, newestVersion),
		actions: offered & wantedActions,
		steps:   steps & wanted,
	}, nil
}

// missing describes actions that the MTA does not offer and that a message may need.
func (a agreement) missing() string {
	var words []string
	if !a.can(gomilter.OptChangeHeader) {
		words = append(words, "deleting header fields (SMFIF_CHGHDRS)")
	}
	if !a.can(gomilter.OptQuarantine) {
		words = append(words, "holding a message (SMFIF_QUARANTINE)")
	}
	return strings.Join(words, ", ")
}

// appendTo appends the answer to the offer.
func (a agreement) appendTo(out []byte) []byte {
	start := len(out)
	out = append(out, 0, 0, 0, 0, byte(gomilter.CodeOptNeg))
	out = binary.BigEndian.AppendUint32(out, a.version)
	out = binary.BigEndian.AppendUint32(out, uint32(a.actions))
	out = binary.BigEndian.AppendUint32(out, uint32(a.steps))
	if a.can(gomilter.OptSetSymList) {
		for _, w := range requestedMacros {
			out = binary.BigEndian.AppendUint32(out, uint32(w.at))
			out = append(out, w.list...)
			out = append(out, 0)
		}
	}
	return closePacket(out, start)
}
