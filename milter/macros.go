package milter

import (
	"bytes"

	gomilter "github.com/emersion/go-milter"
)

// stage is the step of the dialogue that macros belong to, in order of time.
type stage int

const (
	stageConnect stage = iota
	stageHelo
	stageMail
	stageRcpt
	stageData
	stageEOH
	stageEOM
	stages
)

// requestedMacros are the macros that we request for each stage, if the MTA allows it.
//
// Every stage must be named. Postfix drops all of its own lists as soon as one is given
// (milter8_connect). Sendmail looks for the end-of-message list only if an end-of-header list was
// given (milter_data).
var requestedMacros = [...]struct {
	at   gomilter.Stage
	list string
}{
	{gomilter.StageConnect, "j {daemon_name} v"},
	{gomilter.StageHelo, ""},
	{gomilter.StageMailFrom, "{auth_type} {auth_authen} i"},
	{gomilter.StageRcptTo, ""},
	{gomilter.StageData, "i"},
	{gomilter.StageEOH, ""},
	{gomilter.StageEOM, "i"},
}

// macros holds the macros of each stage in the form of the packet: name NUL value NUL.
type macros [stages][]byte

// maxMacroBytes limits the macros of one stage. Ordinary ones have a few hundred octets.
const maxMacroBytes = 16 << 10

// set stores a macro packet, replacing the macros of its stage. The first octet is the command that it
// belongs to.
func (m *macros) set(packet []byte) {
	if len(packet) == 0 {
		return
	}
	at, ok := stageOf(gomilter.Code(packet[0]))
	if !ok {
		return
	}
	// A packet that is too large empties the stage, since the old macros are of another message.
	m[at] = m[at][:0]
	if len(packet) <= maxMacroBytes {
		m[at] = append(m[at], packet[1:]...)
	}
}

func stageOf(command gomilter.Code) (stage, bool) {
	switch command {
	case gomilter.CodeConn:
		return stageConnect, true
	case gomilter.CodeHelo:
		return stageHelo, true
	case gomilter.CodeMail:
		return stageMail, true
	case gomilter.CodeRcpt:
		return stageRcpt, true
	case gomilter.CodeData:
		return stageData, true
	// Postfix repeats the end-of-header macros at each field, and those of end of
	// message at each piece of the body (milter8_header, milter8_body).
	case gomilter.CodeHeader, gomilter.CodeEOH:
		return stageEOH, true
	case gomilter.CodeBody, gomilter.CodeEOB:
		return stageEOM, true
	}
	return 0, false
}

// clearFrom removes the macros of a stage and all later ones.
func (m *macros) clearFrom(first stage) {
	const keep = 512
	for i := first; i < stages; i++ {
		if cap(m[i]) > keep {
			m[i] = nil
		}
		m[i] = m[i][:0]
	}
}

// value looks a macro up, latest stage first. The name has no braces; the MTA's name may have them
// (smfi_getsymval).
func (m *macros) value(name string) string { return m.valueOr(name, "") }

// valueOr is value, or before if the MTA sends no value. It does not allocate for an equal value.
func (m *macros) valueOr(name, before string) string {
	for i := stages - 1; i >= 0; i-- {
		if v, ok := find(m[i], name); ok {
			if len(v) == 0 || string(v) == before {
				return before
			}
			return string(v)
		}
	}
	return before
}

func find(pairs []byte, name string) ([]byte, bool) {
	for len(pairs) > 0 {
		n, rest, ok := bytes.Cut(pairs, nul)
		if !ok {
			return nil, false
		}
		v, rest, ok := bytes.Cut(rest, nul)
		if !ok {
			return nil, false
		}
		if len(n) > 2 && n[0] == '{' && n[len(n)-1] == '}' {
			n = n[1 : len(n)-1]
		}
		if string(n) == name {
			return v, true
		}
		pairs = rest
	}
	return nil, false
}

var nul = []byte{0}
