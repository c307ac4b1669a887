// Package opendkim reads the configuration of opendkim 2.11, answers what opendkim
// signs by its own rules ([Config.Sign]), and says what the same is in Signpost's
// terms ([Config.Migrate]).
//
// The rules are those of opendkim(8), opendkim.conf(5) and of the program itself where
// it does something else. Three differ from the manual: with MultipleSignatures, only
// the first and the last of the matching lines sign; a line of a refile that begins
// with a blank does not count; and InternalHosts is 127.0.0.1 and ::1 by default.
//
// The package does no I/O of its own: files come through a [ReadFile].
package opendkim

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// ReadFile returns the text of a file.
type ReadFile func(path string) (string, error)

// Limits of the input.
const (
	maxText    = 64 << 20 // octets of one file
	maxInclude = 5        // levels of Include, as opendkim has it
	maxNotes   = 1000     // of one migration
	lineSize   = 1023     // octets that opendkim reads at once of a line of a data set
)

// Setting is one line of opendkim.conf.
type Setting struct {
	Name  string // as opendkim.conf(5) writes it
	Value string
	File  string // base name
	Line  int
}

// String names the line.
func (s Setting) String() string {
	if s.Line == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s, line %d: %s", s.File, s.Line, s.Name)
}

// Config is a configuration of opendkim.
type Config struct {
	read ReadFile
	last map[string]Setting // by name in lower case: the last line of a name counts
	all  []Setting          // in the order of the file

	signing, keys, domains, exempt *dataSet // nil: not set

	assumed string // what was taken for granted of the tables
}

// Read reads a configuration with its tables. An error says why opendkim would not
// start with it, or which file cannot be read.
func Read(path string, read ReadFile) (*Config, error) {
	c := &Config{read: read, last: map[string]Setting{}}
	if err := c.readFile(path, 0); err != nil {
		return nil, err
	}
	return c, c.open()
}

// Tables makes a configuration of a KeyTable and a SigningTable alone. A path may
// have file: or refile: in front; without, the SigningTable is a refile if a line
// of it has a "*" within an address.
func Tables(keyTable, signingTable string, multiple bool, read ReadFile) (*Config, error) {
	assumed := ""
	if !strings.Contains(signingTable, ":") {
		text, err := read(signingTable)
		if err != nil {
			return nil, err
		}
		kind := "file:"
		for line := range strings.Lines(text) {
			if key, _ := cutBlank(line); len(key) > 1 && key[0] != '#' && strings.Contains(key, "*") {
				kind = "refile:"
			}
		}
		signingTable = kind + signingTable
		assumed = fmt.Sprintf("the SigningTable is read as %s; if opendkim.conf has it otherwise, write file: or refile: in front of its name", kind)
	}
	if !strings.Contains(keyTable, ":") {
		keyTable = "file:" + keyTable
	}
	c := &Config{read: read, last: map[string]Setting{}, assumed: assumed}
	c.set(Setting{Name: "KeyTable", Value: keyTable})
	c.set(Setting{Name: "SigningTable", Value: signingTable})
	if multiple {
		c.set(Setting{Name: "MultipleSignatures", Value: "yes"})
	}
	return c, c.open()
}

// SetMultiple has every line that matches sign, as MultipleSignatures does.
func (c *Config) SetMultiple() { c.set(Setting{Name: "MultipleSignatures", Value: "yes"}) }

func (c *Config) set(s Setting) {
	c.all = append(c.all, s)
	c.last[strings.ToLower(s.Name)] = s
}

func (c *Config) readFile(path string, level int) error {
	if level > maxInclude {
		return fmt.Errorf("opendkim does not start: %s: Include is nested more than %d levels deep", path, maxInclude)
	}
	text, err := c.read(path)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if end := strings.IndexAny(line, "#\r"); end >= 0 {
			line = line[:end]
		}
		s := Setting{File: filepath.Base(path), Line: number}
		if s.Name, s.Value = cutBlank(line); s.Name == "" {
			continue
		}
		if program := ofOthers[strings.ToLower(s.Name)]; program != "" {
			return fmt.Errorf("%s, line %d: %s is a parameter of %s: give opendkim.conf here; docs/migration.md says what takes the place of each setting of %s",
				s.File, number, s.Name, program, program)
		}
		if problem := s.check(); problem != "" {
			return fmt.Errorf("opendkim does not start with this file: %s, line %d: %s", s.File, number, problem)
		}
		if strings.EqualFold(s.Name, "Include") {
			if err := c.readFile(s.Value, level+1); err != nil {
				return fmt.Errorf("%s, line %d: Include: %w", s.File, number, err)
			}
			continue
		}
		c.set(s)
	}
	return nil
}

// cutBlank returns the first word of a line and the rest, without blanks around.
func cutBlank(line string) (word, rest string) {
	line = strings.Trim(line, " \t")
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimLeft(line[i:], " \t")
	}
	return line, ""
}

// check holds a line to what opendkim accepts, and gives its name the usual spelling.
func (s *Setting) check() (problem string) {
	o, known := options[strings.ToLower(s.Name)]
	switch {
	case strings.HasPrefix(s.Name, "\xef\xbb\xbf"):
		return "the file begins with a byte order mark (BOM), which opendkim takes for a part of the first name; save it without"
	case !known:
		return fmt.Sprintf("%q is not a parameter of opendkim (unrecognized parameter); correct its spelling, or take the line out", s.Name)
	case s.Value == "":
		return fmt.Sprintf("%s has no value", s.Name)
	}
	s.Name = o.name
	switch o.kind {
	case boolean:
		if !strings.Contains("tTyYfFnN10", s.Value[:1]) {
			return fmt.Sprintf("%s %s: write yes or no", s.Name, s.Value)
		}
	case integer:
		if _, err := strconv.ParseInt(s.Value, 0, 64); err != nil {
			return fmt.Sprintf("%s %s: write a number", s.Name, s.Value)
		}
	}
	return ""
}

// value is what counts for a name; ok is false where no line sets it.
func (c *Config) value(name string) (s Setting, ok bool) {
	s, ok = c.last[strings.ToLower(name)]
	return s, ok
}

func (c *Config) text(name string) string { return c.last[strings.ToLower(name)].Value }

func (c *Config) yes(name string) bool {
	v := c.text(name)
	return v != "" && strings.Contains("tTyY1", v[:1])
}

// signs reports whether Mode has the part that signs.
func (c *Config) signs() bool {
	mode, set := c.value("Mode")
	return !set || strings.Contains(mode.Value, "s")
}

// open opens the data sets that signing needs, and holds the settings together to
// what opendkim accepts.
func (c *Config) open() error {
	refused := func(problem string) error { return fmt.Errorf("opendkim does not start: %s", problem) }
	if mode, ok := c.value("Mode"); ok && strings.Trim(mode.Value, "sv") != "" {
		return refused(fmt.Sprintf("%s %s: the letters are s and v", mode, mode.Value))
	}
	has := func(name string) bool { _, ok := c.value(name); return ok }
	for name, to := range map[string]**dataSet{"SigningTable": &c.signing, "KeyTable": &c.keys, "Domain": &c.domains, "ExemptDomains": &c.exempt} {
		if !has(name) || (name == "Domain" && has("KeyTable")) {
			continue
		}
		set, err := c.dataSet(name)
		if err != nil {
			return err
		}
		*to = set
	}
	if !c.signs() {
		return nil
	}
	switch {
	case c.signing != nil && c.keys == nil:
		return refused("SigningTable needs a KeyTable")
	case c.keys != nil && c.signing == nil && !has("SetupPolicyScript"):
		return refused("KeyTable needs a SigningTable")
	case c.keys == nil && has("Selector") != has("KeyFile"):
		return refused("KeyFile and Selector must both be set, or neither")
	case c.domains != nil && !has("Selector"):
		return refused("Domain needs KeyFile and Selector")
	}
	if problem := c.unknownKey(); problem != "" {
		return refused(problem)
	}
	return nil
}

// unknownKey is the check that opendkim makes of the SigningTable when it starts: of a
// plain one, as far as its rows have an i=, each has to name a key.
func (c *Config) unknownKey() (problem string) {
	if c.signing == nil || c.signing.kind == "refile" {
		return ""
	}
	for _, r := range c.signing.rows {
		if _, identity, _ := strings.Cut(r.value, ":"); identity == "" {
			return ""
		}
		k, ok := c.keys.first(r.keyName())
		if _, _, _, valid := keyFields(k.value); !ok || !valid {
			return c.signing.where(r) + ": could not find valid key record " + quoted(r.keyName()) + " in KeyTable"
		}
	}
	return ""
}
