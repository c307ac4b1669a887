package verifier

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"signpost/internal/authres"
	"signpost/internal/config"
	"signpost/internal/dns"
	"signpost/internal/message"
)

// login is the envelope of a client that has logged in.
func login(mechanism, user string) message.Envelope {
	return message.Envelope{AuthType: mechanism, AuthAuthen: user, MTAName: "mx.example.com", Sender: "alice@example.com"}
}

var authCases = []struct {
	name, mode, mechanism, user, want string
}{
	{"nothing is written by default", "off", "PLAIN", "alice", ""},
	{"the mechanism alone", "method", "PLAIN", "alice", " auth=pass (PLAIN)"},
	{"the user", "user", "PLAIN", "alice", " auth=pass (PLAIN) smtp.auth=alice"},
	{"a user with a domain", "user", "SCRAM-SHA-256", "alice@example.com", " auth=pass (SCRAM-SHA-256) smtp.auth=alice@example.com"},
	{"a user that no token can hold", "user", "PLAIN", "a b;c=d\r\ne", ` auth=pass (PLAIN) smtp.auth="a b?c=d??e"`},
	{"a mechanism that forges", "method", "x) dkim=pass", "alice", " auth=pass (x] dkim=pass)"},
	{"no login", "user", "", "", ""},
	{"an anonymous login", "user", "ANONYMOUS", "guest", ""},
}

// Mail that logged in and goes to the signer gets a field of its own, where that is
// switched on.
func TestAuthOfMailOfOurs(t *testing.T) {
	for _, c := range authCases {
		t.Run(c.name, func(t *testing.T) {
			var trace message.Trace
			out := authVerifier(t, c.mode).OwnResults(login(c.mechanism, c.user), &trace)
			if c.want == "" {
				if len(out.Insert)+len(out.Log)+len(out.Results) > 0 {
					t.Errorf("added %+v", out)
				}
				return
			}
			if len(out.Insert) != 1 || out.Insert[0].Name != authres.Name || out.Insert[0].Value != "mx.example.com;\r\n"+c.want {
				t.Errorf("inserted %q", out.Insert)
			}
			if fmt.Sprint(out.Log) != "[{auth pass}]" || len(out.Results) != 1 || out.Results[0] != (message.Result{Method: "auth", Value: "pass"}) {
				t.Errorf("noted %v, results %v", out.Log, out.Results)
			}
			if len(trace.Steps) != 1 || trace.Steps[0].Rule != "auth" {
				t.Errorf("traced %+v", trace.Steps)
			}
		})
	}
}

// Mail that logged in and is judged all the same, on a listener for verifying, has the
// result in the one field.
func TestAuthOfMailThatIsJudged(t *testing.T) {
	for _, c := range authCases {
		t.Run(c.name, func(t *testing.T) {
			env := login(c.mechanism, c.user)
			tx := authVerifier(t, c.mode).Verify(context.Background(), env)
			tx.Header(env, message.Header{{Name: "From", Value: " alice@example.com"}})
			out := tx.End()
			if got := out.Insert[0].Value; len(out.Insert) != 1 || strings.Contains(got, "auth=") != (c.want != "") || !strings.HasSuffix(got, c.want) {
				t.Errorf("inserted %q", out.Insert)
			}
			if _, err := authres.Parse(out.Insert[0].Value); err != nil {
				t.Errorf("our own field cannot be read: %v", err)
			}
		})
	}
}

func authVerifier(t *testing.T, mode string) *Verifier {
	t.Helper()
	cfg := Defaults()
	src := config.Decode("c.yaml", []byte("auth: "+mode+"\n"), &cfg)
	cfg.Validate(src.Bad)
	if err := src.Err(); err != nil {
		t.Fatal(err)
	}
	return New(cfg, dns.NewZone(), "mx.example.com", time.Now)
}

func TestAuthHasThreeValues(t *testing.T) {
	cfg := Defaults()
	src := config.Decode("c.yaml", []byte("auth: on\n"), &cfg)
	cfg.Validate(src.Bad)
	if err := src.Err(); err == nil || !strings.Contains(err.Error(), "c.yaml:1:1: auth") || !strings.Contains(err.Error(), "user") {
		t.Errorf("%v", err)
	}
}
