package traffic

import "testing"

func TestMailToTheAddressesOfReports(t *testing.T) {
	addresses := map[string]bool{"dmarc@example.com": true}
	for to, want := range map[string]bool{
		"dmarc@example.com": true, "DMARC@Example.com": true, "dmarc+abc234@example.com": true, "dmarc+a+b@example.com": true,
		"dmarc@example.net": false, "dmarcx@example.com": false, "x+dmarc@example.com": false, "+@example.com": false, "dmarc": false, "": false,
	} {
		if got := toAny([]string{"user@example.com", to}, addresses); got != want {
			t.Errorf("%q: %v", to, got)
		}
	}
	if toAny([]string{"dmarc@example.com"}, nil) {
		t.Error("there are no addresses")
	}
}
