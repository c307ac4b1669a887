package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"signpost/internal/opendkim"
)

// randomTables writes a KeyTable and a SigningTable of a few lines that overlap.
func randomTables(r *rand.Rand, keyDir string) (keyTable, signingTable string) {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	var k, s strings.Builder
	for i := range 4 {
		fmt.Fprintf(&k, "%s %s:s%d:%s/%s.private\n", pick("k0", "k1", "k2", "a.example", "K3"), pick("%", "a.example", "b.a.example", "c.example"), i, keyDir, pick("a", "b", "gone"))
	}
	for range 2 + r.IntN(5) {
		local := pick("*@", "*@", "joe@", "Joe@", "", "j*@", "@", " *@")
		domain := pick("a.example", "*.a.example", "A.Example", ".a.example", "b.a.example", "*", "*a.example", "(a|b).example", "c.exampl?", "*.example", ".example", "a+.example")
		fmt.Fprintf(&s, "%s%s%s\n", local, domain, pick(" k0", "\tk1", " k2:@x.example", " %", " k3", " K3 ", "  k1"))
	}
	return k.String(), s.String()
}

// TestOpenDKIMAgainstOurModelOfIt asks opendkim itself, where it is installed, about
// random tables, and compares its answers with those of internal/opendkim.
func TestOpenDKIMAgainstOurModelOfIt(t *testing.T) {
	const program = "/usr/sbin/opendkim"
	if _, err := os.Stat(program); err != nil {
		t.Skip("opendkim is not installed")
	}
	authors := []string{"joe@a.example", "jim@a.example", "joe@b.a.example", "j@x.b.a.example", "joe@ba.example", "jim@c.example", "x@b.example", "JOE@A.EXAMPLE", "j@elsewhere.test"}
	keyDir := t.TempDir()
	for name, text := range fourKeys() {
		if err := os.WriteFile(filepath.Join(keyDir, filepath.Base(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(7)
	r := rand.New(rand.NewPCG(seed, seed))
	for round := range 12 {
		dir := t.TempDir()
		keyTable, signingTable := randomTables(r, keyDir)
		conf := fmt.Sprintf("KeyTable %s:%s/kt\nSigningTable %s:%s/st\nMultipleSignatures %s\nRequireSafeKeys no\n",
			[]string{"file", "refile"}[r.IntN(2)], dir, []string{"file", "refile", "refile"}[r.IntN(3)], dir, []string{"yes", "no"}[r.IntN(2)])
		for name, text := range map[string]string{"opendkim.conf": conf, "kt": keyTable, "st": signingTable} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := opendkim.Read(filepath.Join(dir, "opendkim.conf"), readBounded)
		if said, checked := exec.Command(program, "-n", "-x", filepath.Join(dir, "opendkim.conf")).CombinedOutput(); (checked == nil) != (err == nil) {
			t.Errorf("opendkim -n: %v %s; we: %v\n%s%s%s", checked, said, err, conf, keyTable, signingTable)
			continue
		}
		if err != nil {
			continue
		}
		socket := startOpenDKIM(t, program, dir)
		for _, author := range authors {
			message := writeFile(t, "m.eml", "From: "+author+"\nTo: x@elsewhere.example\nSubject: t\nDate: Mon, 30 Nov 2026 02:00:00 +0000\n\nhello\n")
			got := probedSignatures(t, execute(t, "", "probe", "unix:"+socket, message, "--json").stdout)
			user, domain, _ := strings.Cut(author, "@")
			var want []string
			a := c.Sign(user, domain)
			for _, s := range a.Signatures {
				want = append(want, s.Domain+"/"+s.Selector)
				if strings.HasSuffix(s.Key, "gone.private") { // then the message is refused
					want = nil
					break
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("round %d, %s: opendkim %v, we %v (%+v)\n%s%s%s", round, author, got, want, a, conf, keyTable, signingTable)
			}
		}
	}
}
