package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/internal/opendkim"
	"signpost/keys"
)

// maxAuthors bounds how many authors are compared if none are named.
const maxAuthors = 10000

// comparison has the mail that opendkim and Signpost sign, side by side.
type comparison struct {
	Authors     int          `json:"authors"`
	Clients     int          `json:"clients"`
	LeftOut     int          `json:"left_out,omitempty"`     // authors beyond maxAuthors
	NotCompared []string     `json:"not_compared,omitempty"` // settings of opendkim
	Differences []difference `json:"differences"`
}

// difference is an author, or a client, that the two treat differently.
type difference struct {
	From     string `json:"from,omitempty"`
	Client   string `json:"client,omitempty"`
	OpenDKIM treats `json:"opendkim"`
	Signpost treats `json:"signpost"`
}

// treats is the treatment of the mail.
type treats struct {
	Signatures []madeBy `json:"signatures,omitempty"`
	Ours       *bool    `json:"ours,omitempty"` // of a client
	Why        string   `json:"why,omitempty"`
	Refused    bool     `json:"refused,omitempty"` // 451
}

// madeBy is a signature and the file of the key that makes it.
type madeBy struct {
	Domain   string `json:"d"`
	Selector string `json:"s"`
	Key      string `json:"key"`
	print    string // of the key; "": unknown
}

// compare asks both about each author, and about clients of each kind. The signer is
// that of a configuration in which every listed key signs.
func compare(o *opendkim.Config, g *daemon.Generation, authors []string) (comparison, error) {
	c := comparison{Differences: []difference{}, NotCompared: o.NotAsked()}
	if len(authors) == 0 {
		authors, c.LeftOut = o.Authors(maxAuthors)
	}
	c.Authors = len(authors)
	prints := map[string]string{}
	for _, author := range authors {
		if err := authorProblem(author); err != nil {
			return c, err
		}
		at := strings.LastIndexByte(author, '@')
		there := opendkimTreats(o.Sign(author[:at], author[at+1:]), prints)
		here := signpostTreats(g, author)
		if !there.same(here) {
			c.Differences = append(c.Differences, difference{From: author, OpenDKIM: there, Signpost: here})
		}
	}
	clients, err := o.Clients()
	if err != nil {
		return c, err
	}
	for _, one := range clients.Examples() {
		c.Clients++
		there := clients.Sign(one)
		here, why := g.Signer.Outbound(message.Envelope{ClientAddr: one.Addr, AuthAuthen: one.Login, DaemonName: one.Daemon})
		if there != here {
			c.Differences = append(c.Differences, difference{Client: clientName(one), OpenDKIM: treats{Ours: &there}, Signpost: treats{Ours: &here, Why: why}})
		}
	}
	return c, nil
}

func clientName(c opendkim.Client) string {
	name := c.Addr.String()
	if c.Login != "" {
		name += " login " + c.Login
	}
	if c.Daemon != "" {
		name += " daemon name " + c.Daemon
	}
	return name
}

// same compares d=, s= and the key of the signatures.
func (t treats) same(other treats) bool {
	return slices.EqualFunc(t.Signatures, other.Signatures, func(a, b madeBy) bool {
		return a.Domain == b.Domain && a.Selector == b.Selector && a.print == b.print
	}) && t.Refused == other.Refused
}

func (t *treats) sort() {
	slices.SortFunc(t.Signatures, func(a, b madeBy) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Selector, b.Selector), cmp.Compare(a.print, b.print))
	})
}

// opendkimTreats turns an answer around: a key that cannot be read has the message
// refused, too.
func opendkimTreats(a opendkim.Answer, prints map[string]string) treats {
	if a.Refused != "" {
		return treats{Refused: true, Why: a.Refused}
	}
	t := treats{Why: a.Unsigned}
	for _, s := range a.Signatures {
		one := madeBy{Domain: asciiName(s.Domain), Selector: asciiName(s.Selector), Key: s.Key}
		print, known := prints[s.Key]
		if !known {
			print = keyPrint(s.Key)
			prints[s.Key] = print
		}
		if print == "" {
			return treats{Refused: true, Why: "the key " + shownKey(s.Key) + " cannot be read"}
		}
		one.print, one.Key = print, shownKey(s.Key)
		t.Signatures = append(t.Signatures, one)
	}
	t.sort()
	return t
}

// shownKey is a key's path. What is no path is a secret.
func shownKey(key string) string {
	if strings.ContainsAny(key[:1], "/.") || len(key) < 200 {
		return key
	}
	return "within the KeyTable"
}

func asciiName(name string) string {
	if ascii, ok := message.DomainToASCII(name); ok {
		return ascii
	}
	return name
}

// keyPrint is the fingerprint of the key in a file, or of one that is written out; "" if
// it cannot be read.
func keyPrint(key string) string {
	text, err := readBounded(key)
	if err != nil && !strings.ContainsAny(key[:1], "/.") {
		text, err = string(opendkim.KeyFile(key)), nil
	}
	if err != nil {
		return ""
	}
	// The name is only needed to have one.
	k, err := keys.Config{Dir: filepath.Join(os.TempDir(), "signpost-no-such-folder")}.Import(keys.Ref{Domain: "key.example", Selector: "k"}, []byte(text), true)
	if err != nil {
		return ""
	}
	return k.Fingerprint()
}

func signpostTreats(g *daemon.Generation, author string) treats {
	s := g.Signer.Select(message.Header{{Name: "From", Value: " " + author}})
	t := treats{}
	if len(s.Keys) == 0 {
		t.Why = s.Why
	}
	for _, k := range s.Keys {
		t.Signatures = append(t.Signatures, madeBy{Domain: s.SDID, Selector: k.Selector, Key: k.Path, print: k.Fingerprint()})
	}
	t.sort()
	return t
}

// everyKeySigns builds a configuration in which every listed key signs, and which leaves
// the daemon's state alone.
func everyKeySigns(path string) (*daemon.Generation, error) {
	c, from, err := daemon.Read(path)
	if err != nil {
		return nil, err
	}
	if from == "" {
		return nil, errors.New("there is no configuration to compare with: give --config FILE")
	}
	c.Signer.RequirePublished = false
	c.Keys.State = filepath.Join(os.TempDir(), "signpost-no-such-folder", "keys.json")
	return daemon.BuildForStart(c, from, time.Now)
}

// fromFile reads addresses, one a line, with comments.
func fromFile(path string) ([]string, error) {
	text, err := readBounded(path)
	var all []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s has no address", path)
	}
	return all, err
}

// authorProblem returns an error if an address of --from or --from-file is none.
func authorProblem(author string) error {
	if strings.LastIndexByte(author, '@') <= 0 {
		return fmt.Errorf("--from %s: this is not an address; write one such as alice@example.com", author)
	}
	return nil
}

// checkImport compares a configuration of ours with opendkim's. The exit code is 1 if they differ.
func checkImport(o *opendkim.Config, config string, authors []string, asJSON bool, stdout, stderr io.Writer) int {
	const name = "keys import"
	g, err := everyKeySigns(config)
	var c comparison
	if err == nil {
		c, err = compare(o, g, authors)
	}
	switch {
	case err != nil:
		return failure(stderr, name, err)
	case asJSON:
		if code := printJSON(stdout, c); code != exitOK {
			return code
		}
	default:
		var out bytes.Buffer
		c.print(&out)
		if _, err := stdout.Write(out.Bytes()); err != nil {
			return failure(stderr, name, err)
		}
	}
	if len(c.Differences) > 0 {
		return exitFailure
	}
	return exitOK
}
