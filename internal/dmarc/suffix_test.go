package dmarc

import (
	"context"
	"testing"
)

// A record at a public suffix of the ICANN section that does not say psd=n counts as if it said psd=y:
// otherwise all names below the suffix would be one organization.
func TestARecordAtAPublicSuffixMakesNoOrganization(t *testing.T) {
	for _, tt := range []struct {
		name, suffix, record  string
		from, identifier      string
		want                  Result
		policy                Policy
		recordDomain, orgName string
	}{
		{"a sibling below co.uk", "co.uk", "v=DMARC1; p=reject", "victim.co.uk", "attack.co.uk", Fail, Reject, "co.uk", "victim.co.uk"},
		{"a name below the sibling", "co.uk", "v=DMARC1; p=reject", "a.victim.co.uk", "b.attack.co.uk", Fail, Reject, "co.uk", "victim.co.uk"},
		{"a name of the same organization", "co.uk", "v=DMARC1; p=reject", "a.victim.co.uk", "b.victim.co.uk", Pass, None, "co.uk", "victim.co.uk"},
		{"the suffix itself as identifier", "co.uk", "v=DMARC1; p=reject", "victim.co.uk", "co.uk", Fail, Reject, "co.uk", "victim.co.uk"},
		{"the suffix itself as author", "co.uk", "v=DMARC1; p=reject", "co.uk", "attack.co.uk", Fail, Reject, "co.uk", "co.uk"},
		{"a top-level domain", "com", "v=DMARC1; p=reject", "victim.com", "attack.com", Fail, Reject, "com", "victim.com"},
		// psd=n says what the suffix is, and §4.10.2 rule 1 has no exception. A brand's own top-level domain may say so.
		{"psd=n", "co.uk", "v=DMARC1; p=reject; psd=n", "a.co.uk", "b.co.uk", Pass, None, "co.uk", "co.uk"},
		{"psd=n at a brand", "bmw", "v=DMARC1; p=reject; psd=n", "mail.bmw", "news.bmw", Pass, None, "bmw", "bmw"},
		{"psd=n two levels up", "uk", "v=DMARC1; p=reject; psd=n", "a.co.uk", "b.co.uk", Pass, None, "uk", "uk"},
		{"psd=u", "co.uk", "v=DMARC1; p=reject; psd=u", "victim.co.uk", "attack.co.uk", Fail, Reject, "co.uk", "victim.co.uk"},
		{"psd=y", "co.uk", "v=DMARC1; p=reject; psd=y", "victim.co.uk", "attack.co.uk", Fail, Reject, "co.uk", "victim.co.uk"},
		{"a wildcard rule", "example.ck", "v=DMARC1; p=reject", "victim.example.ck", "attack.example.ck", Fail, Reject, "example.ck", "victim.example.ck"},
		{"an exception to a wildcard rule", "www.ck", "v=DMARC1; p=reject", "a.www.ck", "b.www.ck", Pass, None, "www.ck", "www.ck"},
		{"an internationalized suffix", "xn--p1ai", "v=DMARC1; p=reject", "victim.xn--p1ai", "attack.xn--p1ai", Fail, Reject, "xn--p1ai", "victim.xn--p1ai"},
		{"a record two levels up", "uk", "v=DMARC1; p=reject", "victim.co.uk", "attack.co.uk", Fail, Reject, "uk", "victim.co.uk"},
		{"psd=y two levels up", "uk", "v=DMARC1; p=reject; psd=y", "victim.co.uk", "attack.co.uk", Fail, Reject, "uk", "victim.co.uk"},
		{"a record two levels up, and a name right below", "uk", "v=DMARC1; p=reject", "a.victim.uk", "b.victim.uk", Pass, None, "uk", "victim.uk"},
		// For names outside the ICANN section, RFC 9989's result stays.
		{"a suffix of the private section", "github.io", "v=DMARC1; p=reject", "a.github.io", "b.github.io", Pass, None, "github.io", "github.io"},
		{"a top-level domain that is not listed", "example", "v=DMARC1; p=reject", "a.example", "b.example", Pass, None, "example", "example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			zone := records{"_dmarc." + tt.suffix: {tt.record}}
			d := Discover(context.Background(), zone, tt.from, TreeWalk)
			ev := Evaluate(context.Background(), zone, d, nil, []Identifier{{Domain: tt.identifier, Pass: true}})
			if ev.Result != tt.want || ev.Policy != tt.policy || ev.RecordDomain != tt.recordDomain || ev.OrgDomain != tt.orgName {
				t.Errorf("%s, policy %s of %s, organizational domain %s; want %s, %s of %s, %s",
					ev.Result, ev.Policy, ev.RecordDomain, ev.OrgDomain, tt.want, tt.policy, tt.recordDomain, tt.orgName)
			}
		})
	}
}

// The walk ends at a public suffix; its parent is not an organizational domain.
func TestTheWalkEndsAtAPublicSuffix(t *testing.T) {
	zone := &counting{Resolver: records{"_dmarc.co.uk": {"v=DMARC1; p=reject"}}}
	Discover(context.Background(), zone, "a.victim.co.uk", TreeWalk)
	for _, name := range zone.names {
		if name == "_dmarc.uk" {
			t.Errorf("asked for %q", zone.names)
		}
	}
}
