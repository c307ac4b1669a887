package e2e

import (
	"strings"
	"testing"
)

// verdicts are the results of one Authentication-Results field: for each method its
// words ("spf": "pass"; "dkim": "pass fail"), read without code of the product.
func verdicts(value string) map[string]string {
	found := map[string]string{}
	for i, part := range strings.Split(uncommented(value), ";") {
		method, rest, ok := strings.Cut(strings.TrimSpace(part), "=")
		if i == 0 || !ok {
			continue
		}
		word, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		found[method] = strings.TrimSpace(found[method] + " " + word)
	}
	return found
}

// uncommented is a structured field value unfolded and without its comments and
// quoted strings (RFC 5322 §3.2.2, §3.2.4).
func uncommented(value string) string {
	var out strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\':
			i++
		case quoted:
			quoted = c != '"'
		case c == '"' && depth == 0:
			quoted = true
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0 || c == '\r' || c == '\n':
		case c == '\t':
			out.WriteByte(' ')
		default:
			out.WriteByte(c)
		}
	}
	return strings.TrimSpace(out.String())
}

// verdictsOf finds the only field of our verifier in a delivered message; it must be
// above all others.
func verdictsOf(t *testing.T, msg []byte) map[string]string {
	t.Helper()
	var ours []string
	for _, value := range named(msg, "Authentication-Results") {
		if id, _, _ := strings.Cut(uncommented(value), ";"); strings.EqualFold(strings.TrimSpace(id), authservID) {
			ours = append(ours, value)
		}
	}
	if len(ours) != 1 {
		t.Fatalf("%d Authentication-Results fields of %s, want one\n%s", len(ours), authservID, head(msg))
	}
	if !strings.HasPrefix(string(msg), "Authentication-Results:") {
		t.Errorf("Authentication-Results is not the first field\n%s", head(msg))
	}
	return verdicts(ours[0])
}
