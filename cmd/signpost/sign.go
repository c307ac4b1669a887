package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/signer"
)

const signText = `Sign a message file with the daemon's own code and write it, with its
DKIM-Signature fields on top, to standard output. The keys are those of the
author domain (From) in the configuration. Line ends stay as they are in the
file. Fields that claim to be results of this host are removed, as by the
daemon.

    signpost sign FILE [--login NAME] [--ip ADDRESS] [--role seal] [OPTIONS]

FILE - is standard input. A message that no rule signs, or that signer.senders
refuses, is not written: standard error names the rule, and the exit code is
1. Where signer.senders is on, say who sends it: with --login, or with --ip
for a client without a login. --role seal is for mail that list software hands
back: with an ARC set for a client in signer.arc.list_networks (--ip).

Example:

    signpost sign draft.eml --config /etc/signpost/signpost.yaml > signed.eml
    signpost sign draft.eml --login alice --from alice@example.com > signed.eml
`

func signCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o signOptions
	f := flags("sign", signText, stderr)
	f.StringVar(&o.config, "config", "", configHelp)
	f.StringVar(&o.login, "login", "", "the `NAME` the client logged in with (SMTP AUTH)")
	f.StringVar(&o.ip, "ip", "", "the client's `ADDRESS`")
	f.StringVar(&o.from, "from", "", "the `ADDRESS` in MAIL FROM; empty or <> is the null sender")
	f.StringVar(&o.role, "role", "sign", "the `ROLE` of our listener: sign or seal")
	at := f.String("at", "", "sign as of this `TIME`: RFC 3339, or seconds since 1970 (default: now)")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) != 1 {
		return wrongUsage(stderr, "sign", "give one message file, or - for standard input")
	}
	o.file = rest[0]
	now, err := parseMoment(*at)
	if err != nil {
		return wrongUsage(stderr, "sign", err.Error())
	}
	env, err := o.envelope()
	if err != nil {
		return wrongUsage(stderr, "sign", err.Error())
	}
	signed, err := o.sign(env, now, stdin, stderr)
	if err != nil {
		return failure(stderr, "sign", err)
	}
	if _, err := stdout.Write(signed); err != nil {
		return exitFailure
	}
	return exitOK
}

type signOptions struct{ file, config, login, ip, from, role string }

// envelope is the SMTP session that the options describe.
func (o signOptions) envelope() (message.Envelope, error) {
	env, err := verifyOptions{ip: o.ip, from: o.from}.envelope()
	if err != nil {
		return env, err
	}
	if env.Role = message.Role(o.role); env.Role != message.RoleSign && env.Role != message.RoleSeal {
		return env, fmt.Errorf("--role %q is none: write sign or seal", o.role)
	}
	if env.Role == message.RoleSeal && o.ip == "" {
		return env, errors.New("--role seal needs the list software's host: write --ip ADDRESS")
	}
	if env.AuthAuthen = o.login; o.login != "" {
		env.AuthType = "PLAIN"
	}
	return env, nil
}

// sign returns the signed message. The whole message is in memory, since the hash needs all of
// it before the first octet is written.
func (o signOptions) sign(env message.Envelope, now func() time.Time, stdin io.Reader, stderr io.Writer) ([]byte, error) {
	name := o.file
	g, err := daemon.LoadForStart(o.config, now)
	if err != nil {
		return nil, err
	}
	in, err := openMessage(name, stdin)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	header, body, err := message.Split(bytes.NewReader(text), message.Limits{})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if ours, why := g.Signer.Outbound(env); !ours {
		return nil, fmt.Errorf("%s is neither signed nor sealed: %s", name, why)
	}
	t := g.Signer.Sign(context.Background(), env)
	if err := feed(t, env, header, body); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	out := t.End()
	if len(out.Signatures) == 0 && out.Sealed == "" {
		why := cmp.Or(out.Refused, out.Unsigned, out.Failure)
		if out.Unsealed != "" {
			why += "; no ARC seal: " + out.Unsealed
		}
		if o.login == "" && o.ip == "" && g.Config.Signer.Senders.Mode != signer.SendersOff {
			why += " (signer.senders is on: say who sends the message, with --login NAME or --ip ADDRESS)"
		}
		return nil, fmt.Errorf("%s is not signed: %s", name, why)
	}
	if n := len(out.Remove); n > 0 {
		fmt.Fprintf(stderr, "signpost sign: removed: %s\n", message.Removed(n).Value)
		text = message.RemoveFields(text, out.Remove)
	}
	return onTop(out.Insert, text), nil
}

// onTop inserts fields above a message, with the line ends of the message.
func onTop(fields []message.Field, text []byte) []byte {
	var b strings.Builder
	for _, f := range fields {
		writeField(&b, f)
	}
	top := b.String()
	if first := bytes.IndexByte(text, '\n'); first > 0 && text[first-1] == '\r' {
		top = strings.ReplaceAll(top, "\n", "\r\n")
	}
	if bytes.HasPrefix(text, []byte("From ")) { // an mbox separator stays the first line
		first := bytes.IndexByte(text, '\n') + 1
		return append(append(append([]byte{}, text[:first]...), top...), text[first:]...)
	}
	return append([]byte(top), text...)
}
