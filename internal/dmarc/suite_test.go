package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"signpost/internal/conformance"
	"signpost/internal/message"
)

// suiteCase has the fields of cases of the kinds dmarc-eval, orgdomain and psl.
type suiteCase struct {
	Domain string
	Input  struct {
		From string
		DKIM []struct{ D, Result string }
		SPF  *struct{ Domain, Result string }
	}
}

type suiteWant struct {
	Registrable *string
	DMARC       struct {
		Result       string
		Accept       []string
		Policy       *string
		PolicyDomain *string   `json:"policy_domain"`
		OrgDomain    *string   `json:"org_domain"`
		SPFAligned   *bool     `json:"spf_aligned"`
		DKIMAligned  *bool     `json:"dkim_aligned"`
		Queries      *[]string `json:"dns_queries"`
		RecordP      *string   `json:"record_p"`
		RecordSP     *string   `json:"record_sp"`
		ADKIM, ASPF  *string
	}
	Queries []string `json:"dns_queries"`
}

func TestSuiteEvaluations(t *testing.T) {
	for _, name := range []string{"dmarc-rfc", "dmarc-mailauth"} {
		t.Run(name, func(t *testing.T) {
			s := conformance.Load(t, name)
			conformance.Run(t, s, s.OfKind("dmarc-eval"), func(t testing.TB, c conformance.Case) error {
				return checkEvaluation(t, s, c, TreeWalk)
			})
		})
		t.Run(name+" by suffix list", func(t *testing.T) {
			s := conformance.Load(t, name).As("psl")
			cases := slices.DeleteFunc(s.OfKind("dmarc-eval"), func(c conformance.Case) bool {
				return c.Modes != nil && !slices.Contains(c.Modes, "rfc7489")
			})
			conformance.Run(t, s, cases, func(t testing.TB, c conformance.Case) error {
				return checkEvaluation(t, s, c, PSL)
			})
		})
	}
}

func checkEvaluation(t testing.TB, s *conformance.Suite, c conformance.Case, method Method) error {
	var in suiteCase
	c.Decode(t, &in)
	var want struct{ Expect suiteWant }
	c.Decode(t, &want)

	domains := []string{in.Input.From}
	if strings.Contains(in.Input.From, "@") {
		h := message.Header{{Name: "From", Value: " " + in.Input.From}}
		domains = h.Author().Domains
	}
	var spf, dkim []Identifier
	if in.Input.SPF != nil {
		spf = append(spf, identifier(in.Input.SPF.Domain, in.Input.SPF.Result))
	}
	for _, d := range in.Input.DKIM {
		dkim = append(dkim, identifier(d.D, d.Result))
	}
	zone := &counting{Resolver: s.Zone(t, c)}
	var evaluations []Evaluation
	for _, domain := range domains {
		d := Discover(context.Background(), zone, domain, method)
		evaluations = append(evaluations, Evaluate(context.Background(), zone, d, spf, dkim))
	}
	return want.Expect.compare(Strictest(evaluations), zone.names, method)
}

func identifier(domain, result string) Identifier {
	return Identifier{Domain: domain, Pass: result == "pass", TempError: result == "temperror"}
}

func (w suiteWant) compare(ev Evaluation, queries []string, method Method) error {
	d := w.DMARC
	var wrong []error
	check := func(what, got string, want *string) {
		if want != nil && got != *want {
			wrong = append(wrong, fmt.Errorf("%s is %q, want %q", what, got, *want))
		}
	}
	if !slices.Contains(d.Accept, string(ev.Result)) {
		wrong = append(wrong, fmt.Errorf("result is %s, want one of %v", ev.Result, d.Accept))
	}
	policy := ev.Policy
	if ev.Result == Pass {
		policy = ev.Published
	}
	check("policy", string(policy), d.Policy)
	check("policy domain", ev.RecordDomain, d.PolicyDomain)
	check("organizational domain", ev.OrgDomain, d.OrgDomain)
	aligned := func(what, domain string, want *bool) {
		if want != nil && (domain != "") != *want {
			wrong = append(wrong, fmt.Errorf("%s aligned: %q, want %v", what, domain, *want))
		}
	}
	aligned("spf", ev.SPFAligned, d.SPFAligned)
	aligned("dkim", ev.DKIMAligned, d.DKIMAligned)
	if ev.Record != nil {
		check("p", string(ev.Record.P), d.RecordP)
		check("sp", string(ev.Record.SP), d.RecordSP)
		check("adkim", string(ev.Record.ADKIM), d.ADKIM)
		check("aspf", string(ev.Record.ASPF), d.ASPF)
	}
	if d.Queries != nil && method != PSL && !startsWith(queries, *d.Queries) {
		wrong = append(wrong, fmt.Errorf("asked for %q, want %q", queries, *d.Queries))
	}
	return errors.Join(wrong...)
}

func startsWith(list, start []string) bool {
	return len(list) >= len(start) && slices.Equal(list[:len(start)], start)
}

func TestSuiteOrganizationalDomains(t *testing.T) {
	s := conformance.Load(t, "dmarc-rfc")
	conformance.Run(t, s.As("orgdomain"), s.OfKind("orgdomain"), func(t testing.TB, c conformance.Case) error {
		var in suiteCase
		c.Decode(t, &in)
		var want struct{ Expect suiteWant }
		c.Decode(t, &want)
		zone := &counting{Resolver: s.Zone(t, c)}
		if _, err := OrganizationalDomain(context.Background(), zone, in.Domain, TreeWalk); err != nil {
			return err
		}
		if !slices.Equal(zone.names, want.Expect.Queries) {
			return fmt.Errorf("asked for %q, want %q", zone.names, want.Expect.Queries)
		}
		return nil
	})
}

func TestSuitePublicSuffixes(t *testing.T) {
	s := conformance.Load(t, "psl")
	conformance.Run(t, s, s.OfKind("psl"), func(t testing.TB, c conformance.Case) error {
		var in suiteCase
		c.Decode(t, &in)
		var want struct{ Expect suiteWant }
		c.Decode(t, &want)
		got, ok := registrable(in.Domain)
		if want.Expect.Registrable == nil {
			if ok {
				return fmt.Errorf("%s has the registrable domain %q, want none", in.Domain, got)
			}
			return nil
		}
		ascii, _ := message.DomainToASCII(*want.Expect.Registrable)
		if got != ascii {
			return fmt.Errorf("%s has the registrable domain %q, want %q", in.Domain, got, ascii)
		}
		return nil
	})
}
