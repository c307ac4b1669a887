package shell

import "testing"

func TestQuoteMakesOneWord(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "''",
		"/var/lib/signpost/keys": "/var/lib/signpost/keys",
		"s2026._domainkey@%+:":   "s2026._domainkey@%+:",
		"two words":              "'two words'",
		"it's":                   `'it'\''s'`,
		"$(reboot)":              "'$(reboot)'",
		"*":                      "'*'",
		"über":                   "'über'",
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}
