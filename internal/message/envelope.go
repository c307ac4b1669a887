package message

import "net/netip"

// Envelope is what SMTP and the MTA say of a message, apart from the message.
// Nothing in it comes from a header field.
type Envelope struct {
	// ClientAddr is the connecting client's address; IPv4-mapped IPv6 is given
	// as IPv4. Invalid when the MTA knows none (a local socket, family unknown).
	ClientAddr netip.Addr
	// ClientName is what the MTA calls the client's host; "[192.0.2.1]" or
	// "unknown" where it could not be found.
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
	// QueueID is the MTA's name for the message; may be empty before DATA.
	QueueID string
	// SMTPUTF8 says that the sender asked for internationalized mail (RFC 6531).
	SMTPUTF8 bool
	// EightBit says that the sender announced a body of 8-bit octets (RFC 6152,
	// RFC 3030).
	EightBit bool
	// BlanksGuessed says that the MTA does not show whether a blank stands after the
	// colons of the header; one was put there.
	BlanksGuessed bool
	// Role is the purpose of the milter listener the message came in on.
	Role Role
}

// Role is the purpose of a milter listener.
type Role string

const (
	RoleAuto   Role = "auto"   // sign what is ours, verify all else
	RoleSign   Role = "sign"   // all that arrives here is ours
	RoleVerify Role = "verify" // nothing that arrives here is ours
)
