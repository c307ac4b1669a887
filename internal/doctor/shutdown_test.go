package doctor

import "testing"

// Debian 13's Postfix has shutdown as its default: no finding about it.
func TestWhichPostfixKnowsShutdown(t *testing.T) {
	for version, knows := range map[string]bool{
		"3.5.25": false, "3.6.9": false, "3.7.11": false, "3.7.19": false, "3.7.20": true, "3.8.14": false, "3.8.15": true, "3.9.9": true,
		"3.10.7": false, "3.10.8": true, "3.10.13": true, "3.11.0": true, "3.11-20260101": true, "3.12.1": true, "4.0": true, "": false,
	} {
		if knowsShutdown(version) != knows {
			t.Errorf("Postfix %q: %t", version, !knows)
		}
	}
}
