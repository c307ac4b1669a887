package message

import (
	"net/netip"
	"strings"
)

// Envelope is the data that SMTP and the MTA give for a message. No part of it comes
// from a header field.
type Envelope struct {
	// ClientAddr is the connecting client's address; IPv4-mapped IPv6 is converted to
	// IPv4. Invalid if the MTA gives none (a local socket, family unknown).
	ClientAddr netip.Addr
	// ClientName is the MTA's name for the client's host; "[192.0.2.1]" or "unknown"
	// if it has none.
	ClientName string
	// Helo is the argument of HELO or EHLO, empty for local submission.
	Helo string
	// Sender is the reverse-path without angle brackets; "" is the null sender.
	Sender string
	// Recipients are the accepted forward-paths without angle brackets.
	Recipients []string
	// AuthType and AuthAuthen are the SASL mechanism and login name, empty for a
	// client that did not log in (macros {auth_type}, {auth_authen}).
	AuthType, AuthAuthen string
	// DaemonName is the MTA's name for the listener (macro {daemon_name}).
	DaemonName string
	// MTAName is the MTA's own host name (macro j).
	MTAName string
	// QueueID is the MTA's id of the message; it may be empty before DATA.
	QueueID string
	// SMTPUTF8: the sender requested internationalized mail (RFC 6531).
	SMTPUTF8 bool
	// EightBit: the sender announced an 8-bit body (RFC 6152, RFC 3030).
	EightBit bool
	// BlanksGuessed: the MTA does not say whether a space follows the colons of the
	// header; one was inserted.
	BlanksGuessed bool
	// Role is the purpose of the milter listener the message came in on.
	Role Role
	// Listener is the address of that listener as configured, "" if it is not configured.
	Listener string
}

// LoggedIn says that the client authenticated as somebody. An anonymous login does not
// count (RFC 4505): anyone has one.
func (e Envelope) LoggedIn() bool {
	return (e.AuthAuthen != "" || e.AuthType != "") && !strings.EqualFold(e.AuthType, "ANONYMOUS")
}

// Role is the purpose of a milter listener.
type Role string

const (
	RoleAuto   Role = "auto"   // sign our own mail, verify the rest
	RoleSign   Role = "sign"   // all mail here is our own
	RoleVerify Role = "verify" // no mail here is our own
	RoleSeal   Role = "seal"   // list software hands back what it changed, to be sealed; else like auto
)
