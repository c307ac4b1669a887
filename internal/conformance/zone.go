package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"signpost/internal/dns"
)

// zoneData is a zone in the form of the suites: name → records.
type zoneData map[string][]json.RawMessage

// Zone is the DNS of the case: its shared zone, with the case's own records replacing
// those at the same names.
func (s *Suite) Zone(t testing.TB, c Case) *dns.Zone {
	t.Helper()
	all := zoneData{}
	if c.ZoneName != "" {
		shared, ok := s.zones[c.ZoneName]
		if !ok {
			t.Fatalf("case %s: the suite has no zone %q", c.ID, c.ZoneName)
		}
		maps.Copy(all, shared)
	}
	maps.Copy(all, c.DNS)
	z := dns.NewZone()
	for name, records := range all {
		for _, raw := range records {
			if err := addRecord(z, name, raw); err != nil {
				t.Fatalf("case %s: dns of %q: %s: %v", c.ID, name, raw, err)
			}
		}
	}
	return z
}

// addRecord adds {"TYPE": data}, {"TYPE": "TIMEOUT"} or a bare "TIMEOUT".
func addRecord(z *dns.Zone, name string, raw json.RawMessage) error {
	var bare string
	if json.Unmarshal(raw, &bare) == nil {
		if !isFailure(bare) {
			return fmt.Errorf("%q is no way to fail", bare)
		}
		z.Fail(name, "", dns.Failure(bare))
		return nil
	}
	var record map[string]json.RawMessage
	if err := json.Unmarshal(raw, &record); err != nil {
		return err
	}
	for rrtype, data := range record {
		if err := addData(z, name, rrtype, data); err != nil {
			return err
		}
	}
	return nil
}

func addData(z *dns.Zone, name, rrtype string, data json.RawMessage) error {
	var one string
	isString := json.Unmarshal(data, &one) == nil
	if isString && isFailure(one) {
		z.Fail(name, rrtype, dns.Failure(one))
		return nil
	}
	switch rrtype {
	case "SPF": // type 99: obsolete, not queried (RFC 7208 §3.1)
		return nil
	case "TXT":
		var strs []text
		if isString {
			strs = []text{text(one)}
		} else if err := json.Unmarshal(data, &strs); err != nil {
			return err
		}
		plain := make([]string, len(strs))
		for i, s := range strs {
			plain[i] = string(s)
		}
		z.AddTXT(name, plain...)
		return nil
	case "A", "AAAA":
		addr, err := netip.ParseAddr(one)
		if err != nil {
			return err
		}
		z.AddA(name, addr)
		return nil
	case "MX":
		var pref uint16
		var host string
		if err := json.Unmarshal(data, &[]any{&pref, &host}); err != nil {
			return err
		}
		z.AddMX(name, pref, host)
		return nil
	case "PTR", "CNAME":
		if !isString {
			return fmt.Errorf("the target is not a string")
		}
		if rrtype == "PTR" {
			z.AddPTR(name, one)
		} else {
			z.AddCNAME(name, one)
		}
		return nil
	}
	return fmt.Errorf("records of type %q are not known here", rrtype)
}

func isFailure(s string) bool {
	switch dns.Failure(s) {
	case dns.Timeout, dns.ServFail, dns.NXDomain:
		return true
	}
	return false
}

// text is a string of octets: a JSON string, or {"b64": ".."} if they are not UTF-8.
type text string

func (s *text) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*string)(s)) == nil {
		return nil
	}
	var coded struct {
		B64 *string `json:"b64"`
	}
	if err := json.Unmarshal(b, &coded); err != nil || coded.B64 == nil {
		return fmt.Errorf(`%s is neither a string nor {"b64": ..}`, b)
	}
	raw, err := base64.StdEncoding.DecodeString(*coded.B64)
	*s = text(raw)
	return err
}
