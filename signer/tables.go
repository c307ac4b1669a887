package signer

import (
	"errors"
	"fmt"
	"strings"
)

// WithTables returns the section with what stands in files of their own put in: to
// the rest of the program it is as if the YAML file had all of it. The error has
// every mistake in them, one a line.
func (c Config) WithTables() (Config, error) {
	var errs []error
	if c.Senders.File != "" {
		allow, err := readSenders(c.Senders.File)
		errs = append(errs, err)
		c.Senders.Allow = append(c.Senders.Allow[:len(c.Senders.Allow):len(c.Senders.Allow)], allow...)
	}
	return c, errors.Join(errs...)
}

// readSenders reads lines of a login or a network and what may stand in From:
//
//	alice          alice@example.com, *@example.org
//	192.0.2.0/24   example.net
func readSenders(path string) ([]Sender, error) {
	var allow []Sender
	err := readLines(path, func(words []string) error {
		a, err := parseSender(words)
		allow = append(allow, a)
		return err
	})
	return allow, err
}

func parseSender(words []string) (Sender, error) {
	var a Sender
	if network, ok := anyPrefix(words[0]); ok {
		a.Network = network
	} else {
		a.Login = words[0]
	}
	for _, word := range words[1:] {
		for one := range strings.SplitSeq(word, ",") {
			if one == "" {
				continue
			}
			var p AuthorPattern
			if err := p.UnmarshalText([]byte(one)); err != nil {
				return a, err
			}
			a.Authors = append(a.Authors, p)
		}
	}
	if problem := a.problem(); problem != "" {
		return a, fmt.Errorf("%s: %s", words[0], problem)
	}
	return a, nil
}
