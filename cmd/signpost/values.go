package main

import (
	"fmt"
	"strings"
	"time"

	"signpost/internal/message"
	"signpost/keys"
)

// keyNameProblem returns the mistake in the names of a key, DOMAIN or DOMAIN SELECTOR; "" if there is none.
func keyNameProblem(names []string) string {
	ref := keys.Ref{Domain: "example.com", Selector: "s"}
	if len(names) > 0 {
		ref.Domain = names[0]
	}
	if len(names) > 1 {
		ref.Selector = names[1]
	}
	if _, err := ref.Canonical(); err != nil {
		return err.Error()
	}
	return ""
}

// bitsProblem returns the mistake in --bits for an algorithm, or "". 0 is the usual length.
func bitsProblem(algorithm keys.Algorithm, bits int) string {
	if bits == 0 {
		return ""
	}
	if algorithm == keys.Ed25519 {
		return "--bits is for RSA keys only"
	}
	if err := algorithm.CheckBits(bits); err != nil {
		return "--bits: " + err.Error()
	}
	return ""
}

// timeProblem returns the mistake in an option that takes a time of at least least, or "".
func timeProblem(option string, value, least time.Duration) string {
	switch {
	case value >= least:
		return ""
	case least > 0:
		return fmt.Sprintf("--%s %v: give a time above 0s", option, value)
	}
	return fmt.Sprintf("--%s %v: give a time of at least 0s", option, value)
}

// optionalDomain is the domain among the arguments of a command that takes one at most; "" if there is none.
func optionalDomain(rest []string) (domain, problem string) {
	switch len(rest) {
	case 0:
		return "", ""
	case 1:
		return domainArgument(rest[0])
	}
	return "", "give one domain, or none for all"
}

// domainArgument is a domain of the command line, in A-labels and in small letters.
func domainArgument(text string) (domain, problem string) {
	domain, ok := message.DomainToASCII(text)
	if !ok || !strings.Contains(domain, ".") {
		return "", fmt.Sprintf("%q is not a domain: write it like example.com", text)
	}
	return domain, ""
}
