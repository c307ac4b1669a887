package authres

import "testing"

func TestClaims(t *testing.T) {
	ids := []string{"Our.ID.example", "bücher.example"}
	tests := []struct {
		name, value string
		want        bool
	}{
		{"our id as it is", " our.id.example; dmarc=pass", true},
		{"our id with none", " our.id.example; none", true},
		{"a comment before it", "(c)our.id.example; dmarc=pass", true},
		{"a comment behind it", "our.id.example(c); dmarc=pass", true},
		{"nested comments around it", "(a (b) \\) c) our.id.example ((d)); dmarc=pass", true},
		{"in quotes", `"our.id.example"; dmarc=pass`, true},
		{"in quotes with quoted pairs", `"o\ur\.id.example"; dmarc=pass`, true},
		{"blanks inside the quotes", `" our.id.example "; dmarc=pass`, true},
		{"folded", "\r\n our.id.example\r\n\t;\r\n dmarc=pass", true},
		{"folded inside the quotes", "\"our.id\r\n .example\"; dmarc=pass", true},
		{"in capitals", "OUR.ID.EXAMPLE; dmarc=pass", true},
		{"with a final dot", "our.id.example.; dmarc=pass", true},
		{"our U-label id as A-label", "xn--bcher-kva.example; dmarc=pass", true},
		{"the A-label in capitals", "XN--BCHER-KVA.example; dmarc=pass", true},
		{"our U-label id in capitals", "BÜCHER.example; dmarc=pass", true},
		{"a full-width letter", "ｏur.id.example; dmarc=pass", true},
		{"another full stop", "our。id．example; dmarc=pass", true},
		{"a zero-width space", "our\u200b.id.example; dmarc=pass", true},
		{"a soft hyphen", "our.i\u00add.example; dmarc=pass", true},
		{"a no-break space behind it", "our.id.example\u00a0; dmarc=pass", true},
		{"our version 1 is ours", "our.id.example 1; dmarc=pass", true},
		{"our version 2", "our.id.example 2; dmarc=pass", true},
		{"a foreign version 2", "other.example 2; dmarc=pass", true},
		{"the version behind a slash", "our.id.example/1; dmarc=pass", true},
		{"the version inside the quotes", `"our.id.example 1"; dmarc=pass`, true},
		{"a semicolon inside the quotes", `"our.id.example; x"; dmarc=pass`, true},
		{"something before it inside the quotes", `"x our.id.example"; dmarc=pass`, true},
		{"behind an i= tag", "i=1; our.id.example; dmarc=pass", true},
		{"a field without id", "spf=pass smtp.mailfrom=x.example; dmarc=pass", true},
		{"a field that begins with a semicolon", "; dmarc=pass", true},

		{"another id stays", "other.example; dmarc=pass", false},
		{"a name below ours stays", "mx.our.id.example; dmarc=pass", false},
		{"a name that ends in ours stays", "your.id.example; dmarc=pass", false},
		{"a name that begins with ours stays", "our.id.example.evil.example; dmarc=pass", false},
		{"our name in a property stays", "other.example; spf=pass smtp.helo=our.id.example", false},
		{"our name in a comment stays", "other.example (our.id.example); spf=pass", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Claims(tt.value, ids); got != tt.want {
				t.Errorf("Claims(%q) = %v", tt.value, got)
			}
		})
	}
	for _, u := range unreadable {
		t.Run("unreadable: "+u.name, func(t *testing.T) {
			if !Claims(u.value, nil) {
				t.Error("not removed")
			}
		})
	}
}

func TestClaimsAnIDThatIsNoHostName(t *testing.T) {
	ids := []string{"Mail Gateway 7", ""}
	if !Claims(`"mail  gateway 7"; dmarc=pass`, ids) {
		t.Error("our own id is not recognized")
	}
	if Claims("other.example; dmarc=pass", ids) {
		t.Error("an empty id among ours claims everything")
	}
}

func TestIsFieldName(t *testing.T) {
	for name, want := range map[string]bool{
		"Authentication-Results":             true,
		"AUTHENTICATION-results":             true,
		"Authentication-Results ":            true,
		"Authentication-Results\t":           true,
		"Authentication-Results\u00a0":       true,
		"Authentication-\xffResults":         true,
		">Authentication-Results":            true,
		"ARC-Authentication-Results":         false,
		"X-Authentication-Results":           false,
		"Authentication-Results-Original":    false,
		"Authentication-Result":              false,
		"Authenticati0n-Results":             false,
		"":                                   false,
		"Original-Authentication-Results":    false,
		"Authentication-Results-And-Much-On": false,
	} {
		if IsFieldName(name) != want {
			t.Errorf("IsFieldName(%q) = %v", name, !want)
		}
	}
}

func TestANameLooksLikeOursWhateverStandsAroundIt(t *testing.T) {
	for name, want := range map[string]bool{
		"Authentication-Results":         true,
		"aUTHENTICATION-rESULTS":         true,
		" Authentication-Results\t \r\n": true,
		"-Authentication-Results":        true,
		"\x00>Authentication-Results'.":  true,
		"Auth\x01entication-Results":     true,
		"\xffAuthentication-Results":     true,
		"ARC-Authentication-Results":     false,
		"X-Authentication-Results":       false,
		"Buthentication-Results":         false,
		"Authentication-Result":          false,
		"Authentication-Resultss":        false,
		"":                               false,
	} {
		if got := IsFieldName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
