package e2e

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
)

// password is the password of every user.
const password = "correct horse"

// startSASL answers Postfix's questions about logins, in the protocol of
// Dovecot's authentication server, version 1.1. It returns its address.
func startSASL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSASL(conn)
		}
	}()
	return l.Addr().String()
}

func serveSASL(conn net.Conn) {
	defer conn.Close()
	fmt.Fprint(conn, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n")
	in := bufio.NewScanner(conn)
	for in.Scan() {
		words := strings.Split(in.Text(), "\t")
		if words[0] != "AUTH" || len(words) < 2 {
			continue
		}
		id, user, ok := words[1], "", false
		for _, w := range words[2:] {
			if resp, found := strings.CutPrefix(w, "resp="); found {
				user, ok = plain(resp)
			}
		}
		if ok {
			fmt.Fprintf(conn, "OK\t%s\tuser=%s\n", id, user)
		} else {
			fmt.Fprintf(conn, "FAIL\t%s\tuser=%s\n", id, user)
		}
	}
}

// plain reads a response of SASL PLAIN (RFC 4616) and checks the password.
func plain(response string) (user string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(response)
	if err != nil {
		return "", false
	}
	parts := strings.Split(string(raw), "\x00")
	if len(parts) != 3 {
		return "", false
	}
	return parts[1], parts[2] == password
}
