package lifecycle

import (
	"strings"
	"testing"
	"time"
)

// A record that is not at its name is looked for where it often lands by mistake.
func TestARecordAtTheWrongNameIsTold(t *testing.T) {
	for name, want := range map[string]bool{
		"s1._domainkey.example.com.example.com": true,
		"s1.example.com":                        true,
		"s1._domainkey.example.net":             false,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				for _, n := range s.dns {
					n.set(func() { n.records[name] = []string{s.keys["s1"].Record()} })
				}
				s.start("s1")
				s.after(time.Minute)
				why := s.spec.Active.of("example.com").Why
				if got := strings.Contains(why, "; its record is published as "+name+" instead: enter the name as s1._domainkey, if the form adds the domain; publish"); got != want {
					t.Errorf("%s", why)
				}
				if !strings.Contains(why, "DNS has no key at s1._domainkey.example.com") || strings.Contains(why, "says") {
					t.Errorf("%s", why)
				}
				s.publish("s1")
				s.after(time.Hour)
				s.want("when it is at its name", "s1", "s1 active")
			})
		})
	}
	// Another key there is none of ours.
	play(t, func(s *scene) {
		s.dns[0].set(func() { s.dns[0].records["s1._domainkey.example.com.example.com"] = []string{s.keys["s2"].Record()} })
		s.start("s1")
		s.after(time.Minute)
		if why := s.spec.Active.of("example.com").Why; strings.Contains(why, publishedAs) {
			t.Errorf("%s", why)
		}
	})
}
