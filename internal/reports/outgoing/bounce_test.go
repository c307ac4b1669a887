package outgoing

import (
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
)

const postfixBounce = `This is a MIME-encapsulated message.

--B
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

Action: failed
I could not deliver it.

--B
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
X-Postfix-Queue-ID: ABC
Arrival-Date: Mon, 30 Nov 2026 10:00:00 +0000 (UTC)

Final-Recipient: rfc822; rua@blue.example
Original-Recipient: rfc822;rua@blue.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.blue.example
Diagnostic-Code: smtp; 550 5.1.1 <rua@blue.example>:
    user unknown

--B
Content-Type: message/rfc822

`

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestABounceIsAReportThatDeliveryFailed(t *testing.T) {
	const report = ` multipart/report; report-type=delivery-status;` + "\r\n\t" + `boundary="B"`
	for name, c := range map[string]struct{ field, extra, body, why string }{
		"Postfix's":               {report, "", postfixBounce, "the mail system gave up: 5.1.1 smtp; 550 5.1.1 <rua@blue.example>: user unknown"},
		"a delay":                 {report, "", strings.ReplaceAll(postfixBounce, "\nAction: failed\nStatus", "\nAction: delayed\nStatus"), ""},
		"delayed, then failed":    {report, "", strings.Replace(postfixBounce, "Final-Recipient", "Action: delayed\n\nFinal-Recipient", 1), "the mail system gave up: 5.1.1 smtp; 550 5.1.1 <rua@blue.example>: user unknown"},
		"FAILED with a comment":   {report, "", strings.ReplaceAll(postfixBounce, "\nAction: failed\nStatus", "\nAction: FAILED (unknown)\nStatus"), "the mail system gave up: 5.1.1 smtp; 550 5.1.1 <rua@blue.example>: user unknown"},
		"it only says so in text": {report, "", strings.Replace(postfixBounce, "message/delivery-status", "text/plain", 1), ""},
		"of other type":           {strings.Replace(report, "delivery-status", "disposition-notification", 1), "", postfixBounce, ""},
		"no boundary":             {` multipart/report; report-type=delivery-status`, "", postfixBounce, ""},
		"an answer of a program":  {` text/plain`, "", "I am on holiday\n", ""},
		"no type":                 {``, "", "550 user unknown\n", ""},
		"Exim's":                  {` text/plain`, "X-Failed-Recipients", "This message was created automatically\n", "the message that came back names it in X-Failed-Recipients"},
		"cut off":                 {report, "", postfixBounce[:strings.Index(postfixBounce, "Remote-MTA")], "the mail system gave up: 5.1.1"},
		"hostile":                 {report, "", strings.Replace(postfixBounce, "user unknown", "\u202e"+strings.Repeat("x", 999), 1), "the mail system gave up: 5.1.1 smtp; 550 5.1.1 <rua@blue.example>: ?x"},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := NewTokens([]byte("secret"), "dmarc@receiver.example")
			to := tokens.address(theDay, deliveryKey("id", "rua@blue.example"))
			h := message.Header{{Name: "From", Value: " MAILER-DAEMON@mx.example.com"}}
			if c.field != "" {
				h = append(h, message.Field{Name: "Content-Type", Value: c.field})
			}
			if c.extra != "" {
				h = append(h, message.Field{Name: c.extra, Value: " rua@blue.example"})
			}
			b := tokens.Watch(message.Envelope{Recipients: []string{"x@receiver.example", to}}, h)
			if b == nil {
				t.Fatal("it is not watched")
			}
			for _, line := range strings.SplitAfter(crlf(c.body), "\n") {
				b.Write([]byte(line))
			}
			if got := b.failed(); got != c.why && (name != "hostile" || !strings.HasPrefix(got, c.why) || len(got) > maxWhy) {
				t.Errorf("%q, want %q", got, c.why)
			}
			if b.day != theDay || b.key != deliveryKey("id", "RUA@blue.example") {
				t.Errorf("day %d, key %x", b.day, b.key)
			}
		})
	}
}

func TestABounceOfAnySizeTakesLittleMemory(t *testing.T) {
	b := &Bounce{field: ` multipart/report; report-type=delivery-status; boundary=B`}
	chunk := make([]byte, 65535)
	more := true
	for range 1000 {
		more = b.Write(chunk)
	}
	if more || len(b.body) != maxBounce || cap(b.body) > 2*maxBounce {
		t.Errorf("%v, %d octets, room for %d", more, len(b.body), cap(b.body))
	}
}

func TestOnlyATrueTokenIsWatched(t *testing.T) {
	tokens := NewTokens([]byte("secret"), "dmarc@receiver.example")
	other := NewTokens([]byte("other"), "dmarc@receiver.example")
	key := deliveryKey("id", "rua@blue.example")
	good := tokens.address(theDay, key)
	local := good[:strings.IndexByte(good, '@')]
	if len(local) > 64 {
		t.Errorf("local part of %d octets", len(local))
	}
	flipped := []byte(good)
	flipped[len("dmarc+")+5] ^= 1
	for name, c := range map[string]struct {
		sender, to string
		want       bool
	}{
		"true":                    {"", good, true},
		"in capitals":             {"", strings.ToUpper(good), true},
		"behind a tag of the MTA": {"", "prvs=0123456789=" + good, true},
		"with a sender":           {"rua@blue.example", good, false},
		"without a token":         {"", "dmarc@receiver.example", false},
		"of another secret":       {"", other.address(theDay, key), false},
		"of another domain":       {"", NewTokens([]byte("secret"), "dmarc@red.example").address(theDay, key), false},
		"one letter changed":      {"", string(flipped), false},
		"too short":               {"", "dmarc+abc@receiver.example", false},
		"nothing but a token":     {"", good[len("dmarc+"):], false},
		"another local part":      {"", "x" + good[len("dmarc"):], false},
		"with text after it":      {"", local + "x@receiver.example", false},
		"not base32":              {"", "dmarc+" + strings.Repeat("1", tokenLength) + "@receiver.example", false},
	} {
		if b := tokens.Watch(message.Envelope{Sender: c.sender, Recipients: []string{c.to}}, nil); (b != nil) != c.want {
			t.Errorf("%s (%s): %v", name, c.to, b)
		}
	}
	var none *Tokens
	if none.Watch(message.Envelope{Recipients: []string{good}}, nil) != nil || none.Mine(good) {
		t.Error("without tokens something is watched")
	}
}

func TestTokensExpire(t *testing.T) {
	end := time.Unix((theDay+1)*86400, 0)
	for after, want := range map[time.Duration]bool{-time.Second: true, 0: false, tokenLife: false, tokenLife + time.Second: true} {
		if got := expired(theDay, end.Add(after)); got != want {
			t.Errorf("%v after the day: %v", after, got)
		}
	}
}

func FuzzBounce(f *testing.F) {
	f.Add(` multipart/report; report-type=delivery-status; boundary="B"`, crlf(postfixBounce))
	f.Fuzz(func(t *testing.T, field, body string) {
		b := &Bounce{field: field}
		b.Write([]byte(body))
		if why := b.failed(); strings.ContainsAny(why, "\r\n\x1b") || len(why) > maxWhy {
			t.Errorf("%q", why)
		}
	})
}

func FuzzToken(f *testing.F) {
	tokens := NewTokens([]byte("secret"), "dmarc@receiver.example")
	f.Add(tokens.address(1, [keyOctets]byte{}))
	f.Fuzz(func(t *testing.T, s string) { tokens.read(s) })
}
