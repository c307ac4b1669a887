package verifier

import (
	"fmt"

	"signpost/internal/authres"
	"signpost/internal/message"
)

// AuthMode says which parts of a client's login are written into the field.
type AuthMode string

const (
	AuthOff    AuthMode = "off"
	AuthMethod AuthMode = "method" // the mechanism
	AuthUser   AuthMode = "user"   // the mechanism and the name that the client logged in with
)

// authValues has one result: MTAs do not tell of a login that failed, and without a login
// there is none to report.
var authValues = []string{authPass}

const authPass = "pass"

// evaluateAuth reports SMTP AUTH (RFC 8601 §2.7.4). The name of the user is private, and the
// field leaves with the message, so the name is written only if that is
// configured.
func evaluateAuth(c Config, env message.Envelope) Finding {
	f := Finding{Compared: fmt.Sprintf("login %q by %q", env.AuthAuthen, env.AuthType)}
	switch {
	case env.AuthAuthen == "":
		f.Reason = "the client did not log in"
		return f
	case !env.LoggedIn():
		f.Reason = "an anonymous login authenticates no user"
		return f
	}
	f.Value, f.Comment = authPass, env.AuthType
	user := ""
	if c.Auth == AuthUser {
		user = env.AuthAuthen
		f.Properties = []authres.Property{{Type: authres.TypeSMTP, Name: authres.MethodAuth, Value: user}}
	}
	f.Report = authReport{f.Value, env.AuthType, user}
	return f
}

// authReport is the result in the JSON of `verify --json`.
type authReport struct {
	Result    string `json:"result"`
	Mechanism string `json:"mechanism,omitempty"`
	User      string `json:"user,omitempty"`
}
