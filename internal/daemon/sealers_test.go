package daemon

import (
	"strings"
	"testing"
)

// The file of trusted sealers is read with the configuration, and a mistake in it is one of
// the configuration.
func TestTheFileOfTrustedSealersIsRead(t *testing.T) {
	h := newHouse(t)
	file := h.dir + "/sealers"
	h.replace("verifier: {", "verifier: {arc: {trusted_sealers: [a.example], file: "+file+"}, ")
	if _, _, err := Read(h.config); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is not there: %v", err)
	}
	h.write(file, "b.example\n")
	c, _, err := Read(h.config)
	if err != nil || len(c.Verifier.ARC.TrustedSealers) != 2 || c.Verifier.ARC.TrustedSealers[1].Domain != "b.example" {
		t.Errorf("%v %v", c.Verifier.ARC, err)
	}
	h.write(file, "b.example\nexample\n")
	if _, _, err := Read(h.config); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a name that is no domain: %v", err)
	}
}
