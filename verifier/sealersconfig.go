package verifier

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/message"
)

// ARC configures the sealers whose chains count (RFC 8617 §7.2.1).
type ARC struct {
	// TrustedSealers are those whose results of SPF and DKIM go into the DMARC decision.
	TrustedSealers []Sealer `yaml:"trusted_sealers"`
	// File lists more of them: one domain in each line, followed by "accept_dmarc" if that is
	// set; text after # is a comment. It is read with the configuration.
	File string `yaml:"file"`
}

// Sealer is one trusted sealer. It may be written as its domain alone.
type Sealer struct {
	// Domain is the d= of its ARC-Seal.
	Domain string `yaml:"domain"`
	// AcceptDMARC says that its dmarc=pass counts by itself.
	AcceptDMARC bool `yaml:"accept_dmarc"`
}

// UnmarshalText reads a sealer that is a domain alone.
func (s *Sealer) UnmarshalText(text []byte) error {
	*s = Sealer{Domain: string(text)}
	return nil
}

// maxSealersFile is the largest file of sealers, in octets.
const maxSealersFile = 1 << 20

// WithFile returns the section with the sealers of its file, which read reads.
func (a ARC) WithFile(read func(path string) ([]byte, error)) (ARC, error) {
	if a.File == "" {
		return a, nil
	}
	text, err := read(a.File)
	if err != nil {
		return a, fmt.Errorf("verifier.arc.file: %w", err)
	}
	if len(text) > maxSealersFile {
		return a, fmt.Errorf("verifier.arc.file: %s is larger than %d octets", a.File, maxSealersFile)
	}
	a.TrustedSealers = slices.Clone(a.TrustedSealers)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case len(words) > 2 || len(words) == 2 && words[1] != "accept_dmarc":
			return a, fmt.Errorf("verifier.arc.file: %s, line %d: write a domain, or a domain and accept_dmarc", a.File, n)
		}
		s := Sealer{words[0], len(words) == 2}
		if problem := s.problem(); problem != "" {
			return a, fmt.Errorf("verifier.arc.file: %s, line %d: %s", a.File, n, problem)
		}
		a.TrustedSealers = append(a.TrustedSealers, s)
	}
	return a, nil
}

func (s Sealer) problem() string {
	if name, ok := message.DomainToASCII(s.Domain); !ok || !strings.Contains(name, ".") {
		return fmt.Sprintf("%q is not a domain: write the d= of the sealer's ARC-Seal, such as list.example", s.Domain)
	}
	return ""
}

func (a ARC) validate(bad func(path, problem string)) {
	seen := map[string]bool{}
	for i, s := range a.TrustedSealers {
		path := fmt.Sprintf("arc.trusted_sealers[%d]", i)
		name, _ := message.DomainToASCII(s.Domain)
		switch problem := s.problem(); {
		case problem != "":
			bad(path, problem)
		case seen[name]:
			bad(path, fmt.Sprintf("%q is listed twice: keep one of the two", s.Domain))
		}
		seen[name] = true
	}
	if a.File != "" && !strings.HasPrefix(a.File, "/") {
		bad("arc.file", fmt.Sprintf("%q is not an absolute path: write one such as /etc/signpost/sealers", a.File))
	}
}

// sealers are the trusted sealers by their domain in lower-case A-labels.
type sealers map[string]Sealer

func (a ARC) sealers() sealers {
	index := make(sealers, len(a.TrustedSealers))
	for _, s := range a.TrustedSealers {
		if name, ok := message.DomainToASCII(s.Domain); ok {
			s.AcceptDMARC = s.AcceptDMARC || index[name].AcceptDMARC
			index[name] = s
		}
	}
	return index
}
