package traffic

import (
	"strings"

	"signpost/internal/message"
)

// isReport says that a message is itself a report about mail: an aggregate report of DMARC by
// its subject (RFC 9990 §3.5.2), a report of TLS (RFC 8460 §5.3), or a multipart/report such as
// a bounce. Reports about such messages would cause reports for ever.
func isReport(h message.Header) bool {
	for i := range h {
		switch f := &h[i]; {
		case message.EqualFold(f.Name, "TLS-Report-Domain"):
			return true
		case message.EqualFold(f.Name, "Subject"):
			if isReportSubject(f.Value) {
				return true
			}
		case message.EqualFold(f.Name, "Content-Type"):
			if isMultipartReport(f.Value) {
				return true
			}
		}
	}
	return false
}

// isReportSubject reads the words of the ABNF in RFC 9990 §3.5.2, where any white space may
// stand between them.
func isReportSubject(value string) bool {
	rest := strings.TrimLeft(value, blanks)
	if rest, _ = strings.CutPrefix(rest, "Report"); len(rest) == len(value) {
		return false
	}
	rest = strings.TrimLeft(rest, blanks)
	return strings.HasPrefix(rest, "Domain:") && strings.Contains(rest, "Submitter:") && strings.Contains(rest, "Report-ID:")
}

const blanks = " \t\r\n"

func isMultipartReport(value string) bool {
	const kind = "multipart/report"
	value = strings.TrimLeft(value, blanks)
	return len(value) >= len(kind) && message.EqualFold(value[:len(kind)], kind)
}

// toAny says that one of the recipients is one of these addresses, in lower case, or one with a
// "+" and more behind its local part, as reports of ours bounce to.
func toAny(recipients []string, addresses map[string]bool) bool {
	if len(addresses) == 0 {
		return false
	}
	for _, r := range recipients {
		r = strings.ToLower(r)
		if addresses[r] {
			return true
		}
		local, domain, _ := strings.Cut(r, "@")
		if plain, _, tagged := strings.Cut(local, "+"); tagged && addresses[plain+"@"+domain] {
			return true
		}
	}
	return false
}
