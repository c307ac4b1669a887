package mta

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sendmail is the configuration of a Sendmail daemon: what sendmail.cf says, or the .mc file that it is made
// of where there is no sendmail.cf.
type Sendmail struct {
	Path string // the file that was read
	// MC is the text of the .mc file beside sendmail.cf, without comments; empty if there is none.
	MC string
	// Filters are the milters that are defined (X lines), in order.
	Filters []SendmailFilter
	// Order are the names of those that every port asks (InputMailFilters).
	Order []string
	// Daemons are the ports (DaemonPortOptions).
	Daemons []SendmailDaemon

	options map[string]string   // in lower case
	macros  map[string]string   // D lines
	classes map[string][]string // C lines
	maps    []string            // K lines: the names
}

// A SendmailFilter is one milter.
type SendmailFilter struct {
	Name   string
	Socket string // in libmilter's form: inet:8891@127.0.0.1
	Flags  string // T, R, 4 or empty
	// Timeouts are those that are set, by their letters C, S, R and E.
	Timeouts map[string]string
}

// A SendmailDaemon is a port. Own says that it has filters of its own in place of those of all.
type SendmailDaemon struct {
	Name, Addr, Port string
	Own              bool
	Filters          []string
}

// ReadSendmail reads sendmail.cf in dir, or else sendmail.mc.
func ReadSendmail(dir string) (*Sendmail, error) {
	s := &Sendmail{Path: filepath.Join(dir, "sendmail.cf"), options: map[string]string{}, macros: map[string]string{}, classes: map[string][]string{}}
	mc, mcErr := readConfig(filepath.Join(dir, "sendmail.mc"))
	s.MC = withoutDNL(mc)
	cf, err := readConfig(s.Path)
	switch {
	case err == nil:
		s.parse(cf)
	case errors.Is(err, fs.ErrNotExist) && mcErr == nil:
		s.Path = filepath.Join(dir, "sendmail.mc")
		s.parseMC(s.MC)
	default:
		return nil, err
	}
	return s, nil
}

// ParseSendmailMC reads the text of an .mc file.
func ParseSendmailMC(text string) *Sendmail {
	s := &Sendmail{options: map[string]string{}, macros: map[string]string{}, classes: map[string][]string{}}
	s.parseMC(withoutDNL(text))
	return s
}

// parse reads the lines of sendmail.cf that concern milters and rewriting. A line that begins with white
// space continues the one before.
func (s *Sendmail) parse(text string) {
	for _, line := range logicalLines(text) {
		rest := line[1:]
		switch line[0] {
		case 'X':
			s.addFilter(rest)
		case 'O':
			if after, ok := strings.CutPrefix(rest, " "); ok {
				s.option(after)
			}
		case 'D':
			name, value := macroName(rest)
			s.macros[name] = value
		case 'C':
			name, value := macroName(rest)
			s.classes[name] = append(s.classes[name], strings.Fields(value)...)
		case 'K':
			if words := strings.Fields(rest); len(words) > 0 {
				s.maps = append(s.maps, words[0])
			}
		}
	}
}

// macroName splits "Mvalue" and "{name}value".
func macroName(text string) (name, value string) {
	if strings.HasPrefix(text, "{") {
		if name, value, ok := strings.Cut(text[1:], "}"); ok {
			return name, strings.TrimSpace(value)
		}
	}
	if text == "" {
		return "", ""
	}
	return text[:1], strings.TrimSpace(text[1:])
}

func (s *Sendmail) option(text string) {
	name, value, _ := strings.Cut(text, "=")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	switch name {
	case "inputmailfilters":
		s.Order = names(value)
	case "daemonportoptions":
		s.Daemons = append(s.Daemons, daemon(value))
	}
	s.options[name] = value
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' })
}

func daemon(options string) SendmailDaemon {
	d := SendmailDaemon{Port: "smtp"}
	for _, part := range strings.Split(options, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "name":
			d.Name = value
		case "addr", "a":
			d.Addr = value
		case "port", "p":
			d.Port = value
		case "inputmailfilters", "i":
			d.Own, d.Filters = true, names(value)
		}
	}
	return d
}

// addFilter reads "name, S=inet:8891@127.0.0.1, F=T, T=C:30s;S:30s".
func (s *Sendmail) addFilter(text string) {
	name, rest, _ := strings.Cut(text, ",")
	f := SendmailFilter{Name: strings.TrimSpace(name), Timeouts: map[string]string{}}
	for _, part := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.TrimSpace(key) {
		case "S":
			f.Socket = strings.TrimSpace(value)
		case "F":
			f.Flags = strings.TrimSpace(value)
		case "T":
			for _, t := range strings.Split(value, ";") {
				letter, time, _ := strings.Cut(strings.TrimSpace(t), ":")
				f.Timeouts[letter] = time
			}
		}
	}
	s.Filters = append(s.Filters, f)
}

// withoutDNL takes the comments out of an m4 text.
func withoutDNL(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if at := dnl(line); at >= 0 {
			line = line[:at]
		}
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// dnl is where the word dnl stands in a line, outside of quotes, or -1.
func dnl(line string) int {
	level := 0
	for i := range len(line) {
		switch {
		case line[i] == '`':
			level++
		case line[i] == '\'' && level > 0:
			level--
		case level == 0 && strings.HasPrefix(line[i:], "dnl") && (i == 0 || !isName(line[i-1])) && (i+3 == len(line) || !isName(line[i+3])):
			return i
		}
	}
	return -1
}

func isName(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// parseMC reads the macros of an .mc file that this package knows, as cf.m4 would.
func (s *Sendmail) parseMC(text string) {
	for _, call := range calls(text) {
		arg := func(i int) string {
			if i < len(call.args) {
				return call.args[i]
			}
			return ""
		}
		switch call.name {
		case "INPUT_MAIL_FILTER", "MAIL_FILTER":
			s.addFilter(arg(0) + ", " + arg(1))
			if call.name == "INPUT_MAIL_FILTER" {
				s.Order = append(s.Order, arg(0))
			}
		case "DAEMON_OPTIONS":
			s.option("DaemonPortOptions=" + arg(0))
		case "MASQUERADE_AS":
			s.macros["M"] = arg(0)
		case "MASQUERADE_DOMAIN":
			s.classes["M"] = append(s.classes["M"], strings.Fields(arg(0))...)
		case "GENERICS_DOMAIN":
			s.classes["G"] = append(s.classes["G"], strings.Fields(arg(0))...)
		case "FEATURE":
			if arg(0) == "genericstable" {
				s.maps = append(s.maps, "generics")
			}
		case "define":
			if option, ok := mcOptions[arg(0)]; ok {
				s.option(option + "=" + arg(1))
			}
			if arg(0) == "confDOMAIN_NAME" {
				s.macros["j"] = arg(1)
			}
		}
	}
}

// mcOptions are the options of sendmail.cf by their names in an .mc file.
var mcOptions = map[string]string{
	"confINPUT_MAIL_FILTERS": "InputMailFilters", "confMUST_QUOTE_CHARS": "MustQuoteChars", "confSEVEN_BIT_INPUT": "SevenBitInput",
	"confEIGHT_BIT_HANDLING": "EightBitMode", "confRUN_AS_USER": "RunAsUser",
	"confMILTER_MACROS_CONNECT": "Milter.macros.connect", "confMILTER_MACROS_ENVFROM": "Milter.macros.envfrom",
}

// An mcCall is NAME(`a', `b').
type mcCall struct {
	name string
	args []string
}

func calls(text string) []mcCall {
	var found []mcCall
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, "(")
		end := strings.LastIndexByte(rest, ')')
		if !ok || end < 0 {
			continue
		}
		found = append(found, mcCall{strings.TrimSpace(name), mcArgs(rest[:end])})
	}
	return found
}

// mcArgs splits at the commas outside of quotes, and takes one pair of quotes off.
func mcArgs(text string) []string {
	var args []string
	level, from := 0, 0
	for i := range len(text) {
		switch {
		case text[i] == '`':
			level++
		case text[i] == '\'' && level > 0:
			level--
		case text[i] == ',' && level == 0:
			args, from = append(args, unquoted(text[from:i])), i+1
		}
	}
	return append(args, unquoted(text[from:]))
}

func unquoted(arg string) string {
	arg = strings.TrimSpace(arg)
	if strings.HasPrefix(arg, "`") {
		arg = strings.TrimSuffix(arg[1:], "'")
	}
	return arg
}

// Option is the value of an option that the file sets.
func (s *Sendmail) Option(name string) (value string, set bool) {
	value, set = s.options[strings.ToLower(name)]
	return value, set
}

// Masquerade is the domain that Sendmail writes in place of those in domains and of the host's own names.
func (s *Sendmail) Masquerade() (as string, domains []string) { return s.macros["M"], s.classes["M"] }

// Generics are the domains whose addresses the genericstable rewrites, and whether there is one.
func (s *Sendmail) Generics() (domains []string, on bool) {
	return s.classes["G"], slices.Contains(s.maps, "generics")
}

// OwnNames are the names of the host that the file has: $j and class w.
func (s *Sendmail) OwnNames() []string {
	own := slices.Clone(s.classes["w"])
	if j := s.macros["j"]; j != "" && !strings.Contains(j, "$") {
		return append(own, j)
	}
	if host, err := os.Hostname(); err == nil {
		own = append(own, host)
	}
	return own
}

// Asked are the filters that a port asks, in order. Names that are not defined are left out.
func (s *Sendmail) Asked(d SendmailDaemon) []SendmailFilter {
	order := s.Order
	if d.Own {
		order = d.Filters
	}
	var asked []SendmailFilter
	for _, name := range order {
		if i := slices.IndexFunc(s.Filters, func(f SendmailFilter) bool { return f.Name == name }); i >= 0 {
			asked = append(asked, s.Filters[i])
		}
	}
	return asked
}
