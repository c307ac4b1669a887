package milter

import (
	"encoding/binary"
	"fmt"
	"strings"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// The versions of the protocol that we speak. The version says nothing of what an
// MTA can do, the offered flags do.
const (
	oldestVersion = 2
	newestVersion = 6
)

// wantedActions are the actions that we ask for where they are offered.
const wantedActions = gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine | gomilter.OptSetSymList

// unansweredSteps are the steps that need no answer from us, or no packet at all: what
// decides is the end of the message. MAIL is missing on purpose. Postfix holds back
// what it need not wait for, so an answer at MAIL is what makes it deliver the
// envelope while the client is still talking, and SPF can start (milter8_event). A
// listener that only signs has no use for that.
//
// Macros of a step come even if the step itself is not wanted.
const unansweredSteps = gomilter.OptNoUnknown | gomilter.OptNoData |
	gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoRcptReply |
	gomilter.OptNoDataReply | gomilter.OptNoUnknownReply |
	gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply | gomilter.OptNoBodyReply

// agreement is what both sides hold to on one connection.
type agreement struct {
	version uint32
	actions gomilter.OptAction
	steps   gomilter.OptProtocol
}

// can reports that the MTA does this for us.
func (a agreement) can(action gomilter.OptAction) bool { return a.actions&action != 0 }

// has reports that the MTA agreed to this step flag.
func (a agreement) has(step gomilter.OptProtocol) bool { return a.steps&step != 0 }

// negotiate takes the MTA's offer and returns the part of it that a listener of this
// role uses.
func negotiate(offer []byte, role message.Role) (agreement, error) {
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
	if role == message.RoleSign {
		wanted |= gomilter.OptNoMailReply
	}
	if steps&gomilter.OptNoBodyReply == 0 {
		// SKIP is an answer to a piece of the body; without answers it has no place.
		wanted |= gomilter.OptSkip
	}
	return agreement{
		version: min(version, newestVersion),
		actions: offered & wantedActions,
		steps:   steps & wanted,
	}, nil
}

// missing names in words what the MTA does not offer though a message may need it.
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
