package opendkim

import "strings"

// Authors are addresses to compare opendkim with another program by: of each line of
// the tables an author that it is for, others of the same domain and of names below it,
// a stranger and a local address. There are at most limit; more is how many are left out.
func (c *Config) Authors(limit int) (authors []string, more int) {
	seen := map[string]bool{}
	add := func(user, domain string) {
		domain = strings.Trim(lower(domain), ".")
		address := user + "@" + domain
		if user == "" || domain == "" || seen[address] || strings.ContainsAny(address, "*?[]()|{}\\^$ \t\",;:<>") {
			return
		}
		if seen[address] = true; len(authors) >= limit {
			more++
			return
		}
		authors = append(authors, address)
	}
	around := func(user, domain string) {
		domain = strings.TrimPrefix(strings.ReplaceAll(domain, "*", sample), ".")
		add(strings.ReplaceAll(user, "*", sample), domain)
		add("postmaster", domain)
		add("postmaster", sample+"."+domain)
		add("postmaster", strings.TrimPrefix(domain, sample+"."))
	}
	for _, d := range []*dataSet{c.signing, c.domains, c.exempt} {
		if d == nil {
			continue
		}
		for _, r := range d.rows {
			user, domain, at := strings.Cut(r.key, "@")
			if !at {
				user, domain = "postmaster", r.key
			}
			if strings.Trim(domain, "*") == "" {
				domain = "stranger.example"
			}
			around(user, domain)
		}
	}
	if c.keys != nil {
		for _, r := range c.keys.rows {
			if d, _, _, ok := keyFields(r.value); ok && d != "%" {
				around("postmaster", d)
			}
		}
	}
	add("postmaster", "stranger.example")
	add("root", "localhost")
	return authors, more
}

// NotAsked are the settings that decide about signing and that Sign takes no account
// of, as they stand in the file.
func (c *Config) NotAsked() []string {
	var names []string
	for _, name := range []string{"SenderHeaders", "SenderMacro", "DontSignMailTo", "SetupPolicyScript", "MacroList"} {
		s, set := c.value(name)
		if !set || (name == "SenderHeaders" && strings.EqualFold(s.Value, "From")) || (name == "MacroList" && strings.HasPrefix(s.Value, "daemon_name=") && !strings.Contains(s.Value, ",")) {
			continue
		}
		names = append(names, s.String())
	}
	return names
}
