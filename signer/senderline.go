package signer

import (
	"fmt"
	"strings"
)

// ParseSender reads an entry of signer.senders from the words of a line, one at least: a login
// or a network, then author patterns. The error is the first mistake.
func ParseSender(words []string) (Sender, error) {
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
