package outgoing

import (
	"strings"
	"testing"
)

func TestMistakesInTheSection(t *testing.T) {
	good := Config{OrgName: "Example Inc", From: "dmarc@example.com", SMTP: "127.0.0.1:25", PerDay: 10}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // path: part of the problem; "" is none
	}{
		"as it should be":         {func(*Config) {}, ""},
		"off":                     {func(c *Config) { *c = Defaults() }, ""},
		"off, with a server":      {func(c *Config) { *c = Defaults(); c.SMTP = "127.0.0.1:2525" }, ": write org_name and from"},
		"no name":                 {func(c *Config) { c.OrgName = "" }, "org_name: missing"},
		"a name of two lines":     {func(c *Config) { c.OrgName = "a\r\nBcc: x" }, "org_name: one line"},
		"no address":              {func(c *Config) { c.From = "" }, "from: missing"},
		"a broken address":        {func(c *Config) { c.From = "dmarc" }, "from: no address"},
		"an address of one label": {func(c *Config) { c.From = "dmarc@localhost" }, "from: not a host name"},
		"a tagged address":        {func(c *Config) { c.From = "dmarc+x@example.com" }, "from: +"},
		"beyond ASCII":            {func(c *Config) { c.From = "é@example.com" }, "from: ASCII"},
		"a long local part":       {func(c *Config) { c.From = strings.Repeat("x", 32) + "@example.com" }, "from: longer than 31"},
		"as long as possible":     {func(c *Config) { c.From = strings.Repeat("x", 31) + "@example.com" }, ""},
		"IPv6":                    {func(c *Config) { c.SMTP = "[::1]:25" }, ""},
		"another host":            {func(c *Config) { c.SMTP = "192.0.2.1:25" }, "smtp: loopback"},
		"a name":                  {func(c *Config) { c.SMTP = "localhost:25" }, "smtp: loopback"},
		"no port":                 {func(c *Config) { c.SMTP = "127.0.0.1" }, "smtp: loopback"},
		"port 0":                  {func(c *Config) { c.SMTP = "127.0.0.1:0" }, "smtp: loopback"},
		"none a day":              {func(c *Config) { c.PerDay = 0 }, "per_day: out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			var got []string
			cfg.Validate(true, func(path, problem string) { got = append(got, path+": "+problem) })
			path, part, _ := strings.Cut(c.want, ": ")
			switch {
			case c.want == "" && len(got) > 0, c.want != "" && len(got) != 1:
				t.Errorf("%q", got)
			case c.want != "" && (!strings.HasPrefix(got[0], path+": ") || !strings.Contains(got[0], part)):
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	var got []string
	good.Validate(false, func(path, problem string) { got = append(got, problem) })
	if len(got) != 1 || !strings.Contains(got[0], "reports.database") {
		t.Errorf("without a database: %q", got)
	}
}
