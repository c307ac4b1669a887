package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"signpost/internal/dmarc"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// goodRSABits and tooManyRSABits bound the RSA keys that are neither weak nor refused for their
// length (RFC 8301 §3.2).
const (
	goodRSABits    = 2048
	tooManyRSABits = 4096
)

// lookAtKeyStrength checks algorithm, length and age of the listed keys.
func lookAtKeyStrength(_ context.Context, h *Host) {
	byDomain := map[string][]lifecycle.Status{}
	for _, k := range h.listedKeys() {
		alg, bits := algorithm(k)
		if alg == keys.RSA && bits < goodRSABits {
			h.find("key.weak", keyName(k.Ref), fmt.Sprintf("it is an RSA key of %d bits; %d are usual", bits, goodRSABits), h.rotate(k.Ref))
		}
		if tooLong(k) {
			h.add(Finding{ID: "key.weak", Subject: keyName(k.Ref), Finding: fmt.Sprintf("it is an RSA key of %d bits; %d are usual", bits, goodRSABits),
				Consequence: fmt.Sprintf("receivers need not verify keys of more than %d bits, and many do not", tooManyRSABits), Remedy: h.rotate(k.Ref)})
		}
		h.lookAtAge(k)
		byDomain[k.Ref.Domain] = append(byDomain[k.Ref.Domain], k)
	}
	for domain, list := range byDomain {
		if !slices.ContainsFunc(list, func(k lifecycle.Status) bool { alg, _ := algorithm(k); return alg != keys.Ed25519 }) {
			h.find("key.ed25519-alone", domain, "all its keys are Ed25519: "+selectors(list), ed25519Remedy(h, list[0].Ref))
		}
	}
}

// tooLong reports whether verifiers may refuse a key for its length.
func tooLong(k lifecycle.Status) bool {
	alg, bits := algorithm(k)
	return alg == keys.RSA && bits > tooManyRSABits
}

func ed25519Remedy(h *Host, ref keys.Ref) Remedy {
	const selector = "rsa1"
	return Remedy{Text: fmt.Sprintf("Make an RSA key beside it, publish the record that this prints, and list the selector %s of %s in signer.domains:", selector, ref.Domain),
		Lines: []string{command([]string{"signpost", "keys", "generate", "--dir", h.Config.Keys.Dir, ref.Domain, selector})}}
}

// algorithm returns what is known of a key's algorithm and length; "" if nothing is.
func algorithm(k lifecycle.Status) (keys.Algorithm, int) {
	if k.Key != nil {
		return k.Key.Algorithm, k.Key.Bits
	}
	return k.Fact.Algorithm, k.Fact.Bits
}

func selectors(list []lifecycle.Status) string {
	var names []string
	for _, k := range list {
		names = append(names, k.Ref.Selector)
	}
	return strings.Join(names, ", ")
}

// rotate is the remedy of a key that has to be replaced.
func (h *Host) rotate(ref keys.Ref) Remedy {
	if ref.Domain == keys.AnyDomain {
		return Remedy{Text: "Make a new key for \"*\", publish its record at every domain that uses it, and list its selector in place of " + ref.Selector + "."}
	}
	return Remedy{Text: "Replace it. This makes the new key and prints the record to publish and the line to change:",
		Lines: []string{h.signpost("keys", "rotate", ref.Domain)}}
}

// lookAtAge checks how old a key is: its file, or its record if that was seen earlier.
func (h *Host) lookAtAge(k lifecycle.Status) {
	since := k.Made
	if seen := k.Fact.FirstSeen; !seen.IsZero() && (since.IsZero() || seen.Before(since)) && k.Fact.Fingerprint == fingerprint(k) {
		since = seen
	}
	if since.IsZero() || h.Now.Sub(since) < h.KeyAge {
		return
	}
	h.find("key.old", keyName(k.Ref), fmt.Sprintf("it is %d days old (since %s); the limit is %d days (--key-age)",
		int(h.Now.Sub(since)/day), since.UTC().Format("2006-01-02"), int(h.KeyAge/day)), h.rotate(k.Ref))
}

// lookAtSharedKeys looks for one private key under the domains of several organizations.
func lookAtSharedKeys(ctx context.Context, h *Host) {
	users := map[string][]keys.Ref{}
	for _, k := range h.publishedKeys() {
		if k.Key == nil || h.Config.Keys.Shared != nil && h.Config.Keys.Shared(k.Ref.Domain) != "" {
			continue // keys_of says that it is meant
		}
		users[k.Key.Fingerprint()] = append(users[k.Key.Fingerprint()], k.Ref)
	}
	for _, refs := range users {
		organizations := map[string]bool{}
		for _, ref := range refs {
			organizations[h.organization(ctx, ref.Domain)] = true
		}
		if len(organizations) < 2 {
			continue
		}
		slices.SortFunc(refs, keys.Ref.Compare)
		var names []string
		for _, ref := range refs {
			names = append(names, keyName(ref))
		}
		h.find("key.shared", names[0], "its file holds the same private key as "+strings.Join(names[1:], ", "),
			Remedy{Text: "Give each domain a key of its own. This makes one and prints what to publish and to change; if sharing is meant, write keys_of in signer.domains:",
				Lines: []string{h.signpost("keys", "rotate", refs[len(refs)-1].Domain)}})
	}
}

// organization returns the organizational domain of a domain, or the domain where DNS does not
// say.
func (h *Host) organization(ctx context.Context, domain string) string {
	org, err := dmarc.OrganizationalDomain(ctx, h.evaluators(), domain, h.Config.Verifier.DMARC.Discovery)
	if err != nil {
		return domain
	}
	return org
}
