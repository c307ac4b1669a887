package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"signpost/internal/dns"
)

// opinion is the result of another implementation of DKIM for one signature. It knows no selector,
// so the order is that of the fields in the message.
type opinion struct {
	Result string `json:"result"` // pass, fail, permerror, temperror
	Domain string `json:"domain,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// secondOpinion lets go-msgauth judge the signatures of a message. It reads at
// most as many as we do: its cost is not linear in what a stranger sends.
func secondOpinion(text []byte, resolver dns.Source, max int) ([]opinion, error) {
	found, err := msgauth.VerifyWithOptions(bytes.NewReader(text), &msgauth.VerifyOptions{
		MaxVerifications: max,
		LookupTXT: func(name string) ([]string, error) {
			return resolver.LookupTXT(context.Background(), name)
		},
	})
	if err != nil && !errors.Is(err, msgauth.ErrTooManySignatures) {
		return nil, fmt.Errorf("go-msgauth could not read the message: %w", err)
	}
	opinions := make([]opinion, 0, len(found))
	for _, v := range found {
		o := opinion{Result: "pass", Domain: v.Domain}
		switch {
		case v.Err == nil:
		case msgauth.IsTempFail(v.Err):
			o.Result = "temperror"
		case msgauth.IsPermFail(v.Err):
			o.Result = "permerror"
		default:
			o.Result = "fail"
		}
		if v.Err != nil {
			o.Reason = v.Err.Error()
		}
		opinions = append(opinions, o)
	}
	return opinions, nil
}

func printOpinions(w io.Writer, opinions []opinion) {
	for _, o := range opinions {
		fmt.Fprintf(w, "dkim   %-10s %s, says go-msgauth", o.Result, printable(o.Domain))
		if o.Reason != "" {
			fmt.Fprintf(w, " (%s)", printable(o.Reason))
		}
		fmt.Fprintln(w)
	}
}
