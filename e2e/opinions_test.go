package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-milter"
	"github.com/emersion/go-msgauth/dkim"
)

// others are the independent implementations that verify Signpost's signatures. Each
// gives one verdict for each signature, "pass" or the reason.
var others = []struct {
	name string
	ask  func(*testing.T, []byte) []string
}{
	{"go-msgauth", askMsgauth},
	{"dkimpy", askDkimpy},
	{"opendkim", askOpenDKIM},
}

// signedFor checks a delivered message with three other implementations: each must find
// exactly this many signatures, all valid.
func signedFor(t *testing.T, msg []byte, signatures int) {
	t.Helper()
	wanted := strings.TrimSpace(strings.Repeat("pass ", signatures))
	for _, other := range others {
		if got := strings.Join(other.ask(t, msg), " "); got != wanted {
			t.Errorf("%s says %q of the signatures, want %q\n%s", other.name, got, wanted, head(msg))
		}
	}
}

// head is the header of a message and a little of its body, for a test's log.
func head(msg []byte) string {
	end := bytes.Index(msg, []byte("\r\n\r\n"))
	return fmt.Sprintf("%s…", msg[:min(len(msg), end+200)])
}

// published are the key records for the other implementations, by name.
var published = sync.OnceValue(func() map[string]string {
	records := map[string]string{}
	for _, k := range ourKeys() {
		records[k.at(ourDomain)] = k.record
	}
	return records
})

// publish adds a record to those.
func publish(t *testing.T, name, record string) {
	t.Helper()
	published()[name] = record
	check(t, writeRecords(openDKIMKeys()))
}

// writeRecords writes them in OpenDKIM's format, again for each signature.
func writeRecords(file string) error {
	var text strings.Builder
	for name, record := range published() {
		fmt.Fprintf(&text, "%s %s\n", name, record)
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

func askMsgauth(t *testing.T, msg []byte) []string {
	t.Helper()
	found, err := dkim.VerifyWithOptions(bytes.NewReader(msg), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if record, ok := published()[strings.ToLower(strings.TrimSuffix(name, "."))]; ok {
				return []string{record}, nil
			}
			return nil, nil
		},
	})
	check(t, err)
	var verdicts []string
	for _, v := range found {
		if v.Err != nil {
			verdicts = append(verdicts, v.Err.Error())
		} else {
			verdicts = append(verdicts, "pass")
		}
	}
	return verdicts
}

// dkimpyScript, for Debian's own Python, reads a message and the key records, and prints a line for each
// signature.
const dkimpyScript = `
import base64, dkim, json, sys
ask = json.load(sys.stdin)
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return ask["keys"].get(name.rstrip(".").lower(), "").encode() or None
d = dkim.DKIM(base64.b64decode(ask["message"]))
n = sum(1 for name, _ in d.headers if name.lower() == b"dkim-signature")
for i in range(n):
    try:
        print("pass" if d.verify(idx=i, dnsfunc=txt) else "fail")
    except Exception as e:
        print(repr(e))
`

func askDkimpy(t *testing.T, msg []byte) []string {
	t.Helper()
	ask, err := json.Marshal(map[string]any{"message": base64.StdEncoding.EncodeToString(msg), "keys": published()})
	check(t, err)
	cmd := exec.Command("/usr/bin/python3", "-c", dkimpyScript)
	cmd.Stdin = bytes.NewReader(ask)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("dkimpy: %v\n%s", err, out)
	}
	if text := strings.TrimSpace(string(out)); text != "" {
		return strings.Split(text, "\n")
	}
	return nil
}

// askOpenDKIM runs OpenDKIM as a separate milter, sends it the message as an MTA would,
// and reads its Authentication-Results. (Its test mode, opendkim -t, loses white space
// after a field's colon.)
func askOpenDKIM(t *testing.T, msg []byte) []string {
	t.Helper()
	session := openDKIMSession(t)
	defer session.Close()
	must := func(a *milter.Action, err error) {
		t.Helper()
		check(t, err)
		if a.Code != milter.ActContinue && a.Code != milter.ActSkip {
			t.Fatalf("opendkim answered %c", a.Code)
		}
	}
	must(session.Conn("relay.example.net", milter.FamilyInet, 25, "192.0.2.99"))
	must(session.Helo("relay.example.net"))
	must(session.Mail("someone@example.net", nil))
	must(session.Rcpt("bob@"+destDomain, nil))
	header, body, _ := bytes.Cut(msg, []byte("\r\n\r\n"))
	for _, f := range fields(header) {
		must(session.HeaderField(f.name, strings.ReplaceAll(f.value, "\r\n", "\n")))
	}
	must(session.HeaderEnd())
	changes, _, err := session.BodyReadFrom(bytes.NewReader(body))
	check(t, err)
	var verdicts []string
	for _, c := range changes {
		if !strings.EqualFold(c.HeaderName, "Authentication-Results") {
			continue
		}
		for _, part := range strings.Split(c.HeaderValue, ";") {
			if verdict, ok := strings.CutPrefix(strings.TrimSpace(part), "dkim="); ok {
				verdict, _, _ = strings.Cut(verdict, " ")
				verdicts = append(verdicts, verdict)
			}
		}
	}
	return verdicts
}

func openDKIMSession(t *testing.T) *milter.ClientSession {
	t.Helper()
	socket, err := openDKIM()
	check(t, err)
	listening(t, "unix", socket)
	c := milter.NewClientWithOptions("unix", socket, milter.ClientOptions{
		ActionMask:   milter.OptAddHeader | milter.OptChangeHeader | milter.OptQuarantine,
		ProtocolMask: milter.OptHeaderLeadingSpace | milter.OptSkip,
		ReadTimeout:  patience, WriteTimeout: patience,
	})
	session, err := c.Session()
	check(t, err)
	if !session.ProtocolOption(milter.OptHeaderLeadingSpace) {
		t.Fatal("opendkim does not want leading spaces: its opinion of simple canonicalization is worth nothing")
	}
	return session
}

// openDKIM starts OpenDKIM as a verifier, once for the whole run, and returns its
// socket. It ends with the run.
var openDKIM = sync.OnceValues(func() (socket string, err error) {
	conf, socket := workDir+"/opendkim.conf", workDir+"/opendkim.sock"
	text := "Mode v\nSyslog no\nRequireSafeKeys no\nAuthservID opendkim\n" +
		"Socket local:" + socket + "\nTestPublicKeys " + openDKIMKeys() + "\n"
	if err := errors.Join(writeRecords(openDKIMKeys()), os.WriteFile(conf, []byte(text), 0o644)); err != nil {
		return "", err
	}
	cmd := exec.Command("/usr/sbin/opendkim", "-f", "-x", conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return socket, nil
})

func openDKIMKeys() string { return workDir + "/opendkim.keys" }

// field is one header field with the bytes after its colon.
type field struct{ name, value string }

// fields cuts a header into its fields without code of the product.
func fields(header []byte) []field {
	var all []field
	for _, line := range strings.SplitAfter(string(header)+"\r\n", "\r\n") {
		if line == "" {
			continue
		}
		if (line[0] == ' ' || line[0] == '\t') && len(all) > 0 {
			all[len(all)-1].value += line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		all = append(all, field{name, value})
	}
	for i := range all {
		all[i].value = strings.TrimSuffix(all[i].value, "\r\n")
	}
	return all
}
