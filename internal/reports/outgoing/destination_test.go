package outgoing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"signpost/internal/dmarc"
)

// zone answers TXT queries from a map; a name with the text "SERVFAIL" does not answer.
type zone map[string][]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if slices.Contains(z[name], "SERVFAIL") {
		return nil, errors.New("no answer")
	}
	if _, rest, ok := strings.Cut(name, "._report._dmarc."); ok && z[name] == nil {
		return z["*._report._dmarc."+rest], nil
	}
	return z[name], nil
}

func (z zone) Exists(context.Context, string) (bool, error) { return true, nil }

func TestDestinations(t *testing.T) {
	const own = "blue.example"
	fifty := "v=DMARC1; p=none; rua=" + strings.TrimSuffix(strings.Repeat("mailto:x%d@blue.example,", 50), ",")
	numbers := make([]any, 50)
	for i := range numbers {
		numbers[i] = i
	}
	long := strings.Repeat("l234567890.", 20) + "example"
	for name, c := range map[string]struct {
		domain string
		zone   zone
		want   string // the open addresses; or "refused", "temporary"
		why    string // part of a reason
	}{
		"its own domain":                                {own, zone{"": {"rua=mailto:r@blue.example"}}, "r@blue.example", ""},
		"a subdomain of its own":                        {own, zone{"": {"rua=mailto:r@Reports.Blue.example"}}, "r@reports.blue.example", ""},
		"its organizational domain":                     {"a.blue.example", zone{"": {"rua=mailto:r@blue.example"}, "_dmarc.blue.example": {"v=DMARC1; p=none"}}, "r@blue.example", ""},
		"a sibling":                                     {"a.blue.example", zone{"": {"rua=mailto:r@b.blue.example"}, "_dmarc.blue.example": {"v=DMARC1; p=none"}}, "r@b.blue.example", ""},
		"a subdomain that is its own organization":      {own, zone{"": {"rua=mailto:r@sub.blue.example"}, "_dmarc.sub.blue.example": {"v=DMARC1; p=none; psd=n"}}, "", "does not confirm"},
		"another organization, silent":                  {own, zone{"": {"rua=mailto:r@red.example"}}, "", "does not confirm"},
		"another organization, confirmed":               {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"v=DMARC1"}}, "r@red.example", ""},
		"confirmed with a semicolon":                    {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"other", "v=DMARC1;"}}, "r@red.example", ""},
		"confirmed for all":                             {own, zone{"": {"rua=mailto:r@red.example"}, "*._report._dmarc.red.example": {"v=DMARC1;"}}, "r@red.example", ""},
		"v= not first":                                  {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"p=none; v=DMARC1"}}, "", "does not confirm"},
		"of the policy domain, not of its organization": {"a.blue.example", zone{"": {"rua=mailto:r@red.example"}, "_dmarc.blue.example": {"v=DMARC1; p=none"}, "blue.example._report._dmarc.red.example": {"v=DMARC1"}}, "", "a.blue.example._report._dmarc.red.example"},
		"no answer from the other one":                  {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"SERVFAIL"}}, "temporary", "no answer"},
		"no answer about organizations":                 {own, zone{"": {"rua=mailto:r@red.example"}, "_dmarc.red.example": {"SERVFAIL"}}, "temporary", "no answer"},
		"one answers, one does not":                     {own, zone{"": {"rua=mailto:r@red.example,mailto:r@blue.example"}, "blue.example._report._dmarc.red.example": {"SERVFAIL"}}, "r@blue.example", "no answer"},
		"another address on the same host":              {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"v=DMARC1; rua=mailto:new@Red.example!5m"}}, "new@red.example", ""},
		"an address on another host":                    {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"v=DMARC1; rua=mailto:v@victim.example"}}, "", "nothing is sent to either"},
		"one of two on another host":                    {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"v=DMARC1; rua=mailto:n@red.example,mailto:v@sub.red.example"}}, "", "nothing is sent to either"},
		"replaced by no mail address":                   {own, zone{"": {"rua=mailto:r@red.example"}, "blue.example._report._dmarc.red.example": {"v=DMARC1; rua=https://red.example/"}}, "", "reports go by mail only"},
		"the name is too long":                          {long, zone{"": {"rua=mailto:r@red.example"}, long + "._report._dmarc.red.example": {"v=DMARC1"}}, "", "too long"},
		"a record without rua":                          {own, zone{"": {"sp=none"}}, "refused", "no valid rua="},
		"no record":                                     {own, zone{}, "refused", "any more"},
		"only one above":                                {"a.blue.example", zone{"_dmarc.blue.example": {"v=DMARC1; p=none; rua=mailto:r@blue.example"}}, "refused", "any more"},
		"no answer about the record":                    {own, zone{"": {"SERVFAIL"}}, "temporary", "no answer"},
		"a public suffix":                               {"co.uk", zone{"": {"rua=mailto:r@co.uk"}}, "refused", "psd=y"},
		"a public suffix that says so":                  {"co.uk", zone{"": {"psd=y; rua=mailto:r@co.uk"}}, "r@co.uk", ""},
		"twice the same":                                {own, zone{"": {"rua=mailto:r@blue.example,mailto:R@BLUE.example,mailto:%72@blue.example"}}, "r@blue.example", "above already"},
		"http and mail":                                 {own, zone{"": {"rua=https://blue.example/r,mailto:r@blue.example"}}, "r@blue.example", "by mail only"},
		"an obsolete size":                              {own, zone{"": {"rua=mailto:r@blue.example!10m"}}, "r@blue.example", ""},
		"50 of them":                                    {own, zone{"_dmarc." + own: {fmt.Sprintf(fifty, numbers...)}}, "x0@blue.example x1@blue.example x2@blue.example x3@blue.example x4@blue.example", "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			if texts := c.zone[""]; texts != nil {
				c.zone["_dmarc."+c.domain] = []string{"v=DMARC1; p=none; " + texts[0]}
				if texts[0] == "SERVFAIL" {
					c.zone["_dmarc."+c.domain] = texts
				}
			}
			got := Directory{Resolver: c.zone}.Consent(context.Background(), c.domain)
			says := got.problems()
			if err := got.undecided(); err != nil {
				says += err.Error()
			}
			state := strings.Join(got.open(), " ")
			switch {
			case got.Refusal != "":
				state = "refused"
			case state == "" && got.undecided() != nil:
				state = "temporary"
			}
			if state != c.want || !strings.Contains(says, c.why) {
				t.Errorf("%q (%s), want %q (%s)", state, says, c.want, c.why)
			}
			if n := len(got.Destinations); n > maxConsidered+1 {
				t.Errorf("%d destinations were looked at", n)
			}
		})
	}
}

func TestMailboxesOfURIs(t *testing.T) {
	for uri, want := range map[string]string{
		"mailto:r@blue.example":                                "r@blue.example",
		"MAILTO:r@blue.example":                                "r@blue.example",
		"mailto:R.x+y@BLUE.example.":                           "R.x+y@blue.example",
		"mailto:r@blue.example?subject=x&bcc=v@victim.example": "r@blue.example",
		"mailto:r%2Bx%21@blue.example":                         "r+x!@blue.example",
		"mailto:r%40x@blue.example":                            "", // needs quotes
		"mailto:%22a b%22@blue.example":                        "",
		"mailto:%22a%22@blue.example":                          "",
		"mailto:r%0d%0aBcc%3a%20v@blue.example":                "",
		"mailto:a%2Cb@blue.example":                            "",
		"mailto:a@b@blue.example":                              "",
		"mailto:r%3e@blue.example":                             "",
		"mailto:%c3%a9@blue.example":                           "é@blue.example",
		"mailto:%c3@blue.example":                              "",
		"mailto:%e2%80%ae@blue.example":                        "",
		"mailto:r@b%c3%bccher.example":                         "r@xn--bcher-kva.example",
		"mailto:r@[192.0.2.1]":                                 "",
		"mailto:r@192.0.2.1":                                   "",
		"mailto:r@localhost":                                   "",
		"mailto:.r@blue.example":                               "",
		"mailto:r..s@blue.example":                             "",
		"mailto:@blue.example":                                 "",
		"mailto:r":                                             "",
		"https://blue.example/":                                "",
		"mailto:" + strings.Repeat("x", 65) + "@blue.example":  "",
	} {
		scheme, _, _ := strings.Cut(uri, ":")
		got, err := mailbox(dmarc.URI{Text: uri, Scheme: strings.ToLower(scheme)})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", uri, got, err, want)
		}
	}
}

func FuzzMailbox(f *testing.F) {
	f.Add("a%0d@b.example?x")
	f.Fuzz(func(t *testing.T, s string) {
		address, err := mailbox(dmarc.URI{Text: "mailto:" + s, Scheme: "mailto"})
		if err != nil {
			return
		}
		if strings.ContainsAny(address, "\r\n\x00 <>,;:\"()[]\\") || strings.Count(address, "@") != 1 || len(address) > 254 {
			t.Errorf("%q", address)
		}
		if again, err := plainAddress(address); again != address || err != nil {
			t.Errorf("%q became %q, %v", address, again, err)
		}
	})
}
