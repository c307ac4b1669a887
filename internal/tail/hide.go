package tail

import (
	"strconv"
	"strings"

	"signpost/internal/message"
)

// hidden stands in the place of a local part or of a login name.
const hidden = "***"

// hider removes local parts and login names from text. The zero value hides every local
// part that it can recognize without knowing the message.
type hider struct {
	off    bool // local parts are shown
	env    *message.Envelope
	author *message.Author
}

// text returns s without local parts. It allocates only if there is something to hide.
func (h *hider) text(s string) string {
	if h.off {
		return s
	}
	s = h.login(s)
	s = h.senderLabel(s)
	if !strings.Contains(s, "@") {
		return s
	}
	if h.author != nil {
		for i := range h.author.Addresses {
			s = hideBefore(s, h.author.Addresses[i].Local)
		}
	}
	if h.env != nil {
		local, _ := splitPath(h.env.Sender)
		s = hideBefore(s, local)
	}
	return hideAddresses(s)
}

// login hides the login name where our own texts write it.
func (h *hider) login(s string) string {
	if h.env == nil || h.env.AuthAuthen == "" || !strings.Contains(s, "log") {
		return s
	}
	const before = "logged in as "
	if strings.Contains(s, before+h.env.AuthAuthen) {
		s = strings.Replace(s, before+h.env.AuthAuthen, before+hidden, 1)
	}
	if strings.Contains(s, `login "`) {
		s = strings.ReplaceAll(s, "login "+strconv.Quote(h.env.AuthAuthen), `login "`+hidden+`"`)
	}
	return s
}

// longestLabel is RFC 1035 §2.3.4's limit for a label.
const longestLabel = 63

// senderLabel hides the sender's local part in a DNS name: SPF's macro l puts it there.
func (h *hider) senderLabel(s string) string {
	if h.env == nil {
		return s
	}
	local, _ := splitPath(h.env.Sender)
	if local == "" || len(local) >= len(s) || len(local) > longestLabel {
		return s
	}
	for from := 0; ; {
		at := indexFold(s[from:], local)
		if at < 0 {
			return s
		}
		at += from
		end := at + len(local)
		if (at == 0 || !isLabel(s[at-1])) && end+1 < len(s) && s[end] == '.' && isLabel(s[end+1]) {
			s = s[:at] + hidden + s[end:]
			end = at + len(hidden)
		}
		from = end
	}
}

// indexFold is strings.Index without regard to the case of ASCII letters.
func indexFold(s, word string) int {
	for i := 0; i+len(word) <= len(s); i++ {
		if lower(s[i]) == lower(word[0]) && strings.EqualFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isLabel(c byte) bool {
	return c == '-' || c == '_' || ('0' <= c && c <= '9') || ('a' <= lower(c) && lower(c) <= 'z') || c >= 0x80
}

// hideBefore hides a known local part before an "@", as it is or as %q writes it.
func hideBefore(s, local string) string {
	if local == "" || local == "*" {
		return s
	}
	s = strings.ReplaceAll(s, local+"@", hidden+"@")
	if quoted := strconv.Quote(local); len(quoted) > len(local)+2 {
		s = strings.ReplaceAll(s, quoted[1:len(quoted)-1]+"@", hidden+"@")
	}
	return s
}

// hideAddresses hides each word before an "@". A pattern of the configuration ("*@example.com")
// stays.
func hideAddresses(s string) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '@')
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		start := localStart(s[:at])
		word := s[start:at]
		b.WriteString(s[:start])
		switch word {
		case "", "*", hidden, "{{login}}":
			b.WriteString(word)
		default:
			b.WriteString(hidden)
		}
		b.WriteByte('@')
		s = s[at+1:]
	}
}

// localStart returns where the local part begins that ends s: a quoted string, or what has
// no delimiter.
func localStart(s string) int {
	if strings.HasSuffix(s, `"`) {
		if open := strings.IndexByte(s, '"'); open < len(s)-1 {
			// The first quote and not the nearest one, since a quoted string may contain any.
			if strings.HasSuffix(s[:open], `\`) {
				open--
			}
			return open
		}
	}
	return strings.LastIndexAny(s, " \t<>()[],;\"") + 1
}

// splitPath divides a path without angle brackets at its last "@".
func splitPath(path string) (local, domain string) {
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return path, ""
	}
	return path[:at], path[at+1:]
}
