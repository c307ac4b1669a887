package milter

import (
	"strings"
	"testing"
)

func TestMacros(t *testing.T) {
	set := func(m *macros, packets ...string) {
		for _, p := range packets {
			m.set([]byte(p))
		}
	}
	var m macros
	set(&m, "Cj\x00mx\x00{daemon_name}\x00smtpd\x00v\x00Postfix\x00", "H{tls_version}\x00TLSv1.3\x00",
		"M{auth_authen}\x00user\x00i\x00ONE\x00{empty}\x00\x00", "R{rcpt_addr}\x00b\x00")
	for name, want := range map[string]string{
		"j": "mx", "daemon_name": "smtpd", "tls_version": "TLSv1.3", "auth_authen": "user", "i": "ONE", "empty": "", "rcpt_addr": "b",
		"none": "", "mx": "", "daemon_nam": "",
	} {
		if got := m.value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	set(&m, "E{i}\x00TWO\x00")
	if got := m.value("i"); got != "TWO" {
		t.Errorf("the latest stage counts, with braces or not: %q", got)
	}
	set(&m, "M{auth_type}\x00PLAIN\x00")
	if m.value("auth_authen") != "" || m.value("auth_type") != "PLAIN" || m.value("j") != "mx" {
		t.Error("a stage's macros replace those of the same stage, and no other")
	}
	set(&m, "Li\x00THREE\x00", "Ei\x00FOUR\x00", "Bi\x00FIVE\x00")
	if got := m.value("i"); got != "FIVE" {
		t.Errorf("macros at a piece of the body are those of end of message: %q", got)
	}
	m.clearFrom(stageMail)
	if m.value("i") != "" || m.value("auth_type") != "" || m.value("tls_version") != "TLSv1.3" {
		t.Error("a message's macros go with it")
	}
	set(&m, "Cj\x00"+strings.Repeat("x", maxMacroBytes)+"\x00", "C", "", "?j\x00y\x00", "M\x00\x00\x00", "Mj")
	if got := m.value("j"); got != "" {
		t.Errorf("an empty list empties the stage: %q", got)
	}
	set(&m, "M{auth_authen}\x00user\x00", "M{auth_authen}\x00"+strings.Repeat("x", maxMacroBytes)+"\x00")
	if got := m.value("auth_authen"); got != "" {
		t.Errorf("a list too large to keep empties the stage: %.20q", got)
	}
}
