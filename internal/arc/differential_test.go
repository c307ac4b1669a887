package arc

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// dkimpyScript seals or verifies each of the messages that it is given, with dkimpy.
const dkimpyScript = `
import base64, dkim, json, sys, types

# What dkimpy asks of the package authres, which may not be installed.
class Parsed:
    @staticmethod
    def parse(field):
        id, *results = [part.split() for part in field.partition(":")[2].split(";")]
        parsed = Parsed()
        parsed.authserv_id = id[0]
        parsed.results = [types.SimpleNamespace(method=r[0].split("=")[0], result=r[0].split("=")[1]) for r in results]
        return parsed
dkim.authres = types.SimpleNamespace(AuthenticationResultsHeader=Parsed, core=types.SimpleNamespace(SyntaxError=ValueError))

ask = json.load(sys.stdin)
def txt(name, timeout=5):
    record = ask["keys"].get(name.decode().rstrip("."))
    return record.encode() if record else None
answers = []
for m in ask["messages"]:
    m = base64.b64decode(m)
    if ask["seal"]:
        lines = dkim.arc_sign(m, b"s", ask["domain"].encode(), ask["key"].encode(), b"mx.example", include_headers=[b"from", b"to", b"subject"], timestamp=1000000000)
        answers.append(base64.b64encode(b"".join(lines) + m).decode())
        continue
    try:
        cv, _, reason = dkim.ARC(m).verify(dnsfunc=txt)
        answers.append("fail" if cv is None else cv.decode()) # None: the chain has ended
    except Exception as e:
        answers.append("fail")
print(json.dumps(answers))
`

type dkimpyRequest struct {
	Seal     bool              `json:"seal"`
	Domain   string            `json:"domain"`
	Key      string            `json:"key"`
	Keys     map[string]string `json:"keys"`
	Messages [][]byte          `json:"messages"`
}

func judgedAs(t *testing.T, raw string, r dkim.Resolver) Result {
	t.Helper()
	_, _, o := judge(t, []byte(raw), Options{}, r)
	return o.Result
}

func askDkimpy(t *testing.T, ask dkimpyRequest) []string {
	t.Helper()
	if err := exec.Command("/usr/bin/python3", "-c", "import dkim").Run(); err != nil {
		t.Skip("python3-dkim is not installed")
	}
	text, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", dkimpyScript)
	cmd.Stdin = bytes.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var answers []string
	if err == nil {
		err = json.Unmarshal(out, &answers)
	}
	if err != nil || len(answers) != len(ask.Messages) {
		t.Fatalf("dkimpy: %v\n%s%s", err, out, stderr.Bytes())
	}
	return answers
}

// dkimpy verifies what we sealed and we verify what dkimpy sealed, one set on top of the
// other's; and where somebody changed such a message, both say the same.
func TestDkimpyAgrees(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.KeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{"s._domainkey.ours.example": record, "s._domainkey.theirs.example": record}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	resolver := &records{at: keys}

	ours := func(raw string) string {
		h, body, judged := judge(t, []byte(raw), Options{}, resolver)
		fields, err := Seal(h, judged, SealParams{Domain: "ours.example", Selector: "s", Key: key, Time: time.Unix(1e9, 0),
			Headers: []string{"From", "To", "Subject", "Reply-To"}, Payload: "mx.ours.example; arc=" + string(judged.Result) + "; spf=pass smtp.mailfrom=jo@author.example", Body: hashOf(body)})
		if err != nil {
			t.Fatal(err)
		}
		return message.Header(append(fields, h...)).String() + "\r\n" + string(body)
	}
	theirs := func(raw string) string {
		if i := strings.Index(raw, "\r\nAuthentication-Results:"); i >= 0 { // that of the set before
			rest := raw[i+2:]
			raw = raw[:i] + rest[strings.Index(rest, "\r\n"):]
		}
		raw = "Authentication-Results: mx.example; arc=" + string(judgedAs(t, raw, resolver)) + "; spf=pass smtp.mailfrom=jo@author.example\r\n" + raw
		answer := askDkimpy(t, dkimpyRequest{Seal: true, Domain: "theirs.example", Key: text, Keys: keys, Messages: [][]byte{[]byte(raw)}})
		sealed, err := base64.StdEncoding.DecodeString(answer[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(sealed)
	}
	const mail = "From: jo@author.example\r\nTo: you@example.org\r\nSubject: hello\r\n\r\nHi  there.\t\r\n\r\n\r\n"
	whole := []string{ours(mail), ours(ours(mail)), theirs(mail), ours(theirs(mail)), theirs(ours(mail)), ours(theirs(ours(theirs(mail))))}
	changed := slices.Clone(whole)
	for _, raw := range whole {
		for _, c := range [][2]string{
			{"Hi ", "Ho "}, {"Hi  there.\t", "Hi there."}, {"there.\t\r\n\r\n", "there.\r\n"}, {"Subject: hello", "SUBJECT:  hello"}, {"Subject: hello", "Subject: bye"},
			{"cv=pass", "cv=none"}, {"cv=none", "cv=pass"}, {"cv=pass", "cv=fail"}, {"spf=pass", "spf=fail"}, {"i=1; mx", "i=1;  mx"},
			{"i=2;", "i=3;"}, {"d=ours.example", "d=other.example"}, {"From: jo", "X-Added: by the way\r\nFrom: jo"}, {"From: jo", "Reply-To: a@b.example\r\nFrom: jo"},
			{"t=1000000000", "t=1000000001"}, {"ARC-Seal", "X-ARC-Seal"}, {"ARC-Message-Signature", "X-AMS"},
		} {
			changed = append(changed, strings.Replace(raw, c[0], c[1], 1))
		}
	}
	var messages [][]byte
	for _, raw := range changed {
		messages = append(messages, []byte(raw))
	}
	for i, theirs := range askDkimpy(t, dkimpyRequest{Keys: keys, Messages: messages}) {
		_, _, o := judge(t, messages[i], Options{}, resolver)
		if string(o.Result) != theirs || i < len(whole) && o.Result != Pass {
			t.Errorf("message %d: we say %s (%s), dkimpy %s\n%s", i, o.Result, o.Reason, theirs, messages[i])
		}
	}
}
