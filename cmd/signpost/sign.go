package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"signpost/internal/message"
)

const signText = `Sign a message file with the daemon's own code and write it, with its DKIM-Signature
fields on top, to standard output. The keys are those of the author domain (From)
in the configuration. Line ends stay as they are in the file.

    signpost sign FILE [--config FILE]

FILE - is standard input. A message that no rule signs is not written: standard
error names the rule, and the exit code is 1.

Example:

    signpost sign draft.eml --config /etc/signpost/signpost.yaml > signed.eml
`

func signCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	f := flags("sign", signText, stderr)
	config := f.String("config", "", "configuration `FILE` (default "+defaultConfig+")")
	at := f.String("at", "", "sign as of this `TIME`: RFC 3339, or seconds since 1970 (default: now)")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) != 1 {
		return wrongUsage(stderr, "sign", "give one message file, or - for standard input")
	}
	now, err := parseMoment(*at)
	if err != nil {
		return wrongUsage(stderr, "sign", err.Error())
	}
	signed, err := signFile(rest[0], *config, now, stdin)
	if err != nil {
		return failure(stderr, "sign", err)
	}
	if _, err := stdout.Write(signed); err != nil {
		return exitFailure
	}
	return exitOK
}

// signFile returns the signed message. It is held in memory, since a file on
// standard input has to be read for its hash before its first byte is written.
func signFile(name, config string, now func() time.Time, stdin io.Reader) ([]byte, error) {
	g, err := loadForStart(config, now)
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
	env := message.Envelope{Role: message.RoleSign}
	t := g.signer.Sign(context.Background(), env)
	if err := feed(t, env, header, body); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	out := t.End()
	if len(out.Insert) == 0 {
		return nil, fmt.Errorf("%s is not signed: %s", name, cmp.Or(out.Unsigned, out.Failure))
	}
	return onTop(out.Insert, text), nil
}

// onTop puts fields above a message, with the message's own line ends.
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
