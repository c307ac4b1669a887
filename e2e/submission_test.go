package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"
)

// withTLS gives Postfix a proper submission service: TLS first, then a login, then
// mail. Its certificate is self-signed; it fills in the pool that trusts it and the
// service's address.
func withTLS(t *testing.T, trust **x509.CertPool, addr *string) func(*postfix) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx." + ourDomain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	*trust, *addr = x509.NewCertPool(), freeAddr(t)
	(*trust).AddCert(cert)
	return func(p *postfix) {
		chain := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		check(t, os.WriteFile(p.path("etc/chain.pem"), chain, 0o600))
		p.main += "smtpd_tls_chain_files = " + p.path("etc/chain.pem") + "\n"
		p.master += *addr + ` inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
tlsmgr unix - - n 1000? 1 tlsmgr
`
	}
}

func TestSubmissionWithTLSAndLogin(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone()})
	var trust *x509.CertPool
	var addr string
	p := startPostfix(t, d.milter(), withTLS(t, &trust, &addr))

	const rcpt = "tls@" + destDomain
	c := dial(t, addr, roaming)
	if r := c.say("MAIL FROM:<alice@" + ourDomain + ">"); r.code != 530 {
		t.Fatalf("MAIL without TLS is answered %v, want 530", r)
	}
	c.startTLS(&tls.Config{RootCAs: trust, ServerName: "mx." + ourDomain})
	c.must(250, "EHLO laptop.local")
	c.login("alice")
	accepted(t, c.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "by TLS")))
	signedFor(t, p.sink.wait(t, rcpt).Data, 1)
	d.logged(t, "msg=message", "ours=true", `rule="logged in as alice"`)
}

// startTLS continues with TLS on the same connection.
func (c *client) startTLS(config *tls.Config) {
	c.t.Helper()
	c.must(220, "STARTTLS")
	secure := tls.Client(c.conn, config)
	check(c.t, secure.Handshake())
	c.conn, c.text = secure, textproto.NewConn(secure)
}

func TestAChrootedPostfixAndAUnixSocket(t *testing.T) {
	want(t)
	addr := freeAddr(t)
	var d *daemon
	p := startPostfix(t, "", func(p *postfix) {
		uid, gid := ids(t, "nobody", "postfix")
		sockets := p.path("queue/signpost")
		check(t, os.Mkdir(sockets, 0o750))
		check(t, os.Chown(sockets, uid, gid))
		d = startDaemon(t, config{Listen: []string{"unix:" + sockets + "/milter.sock"}, Zone: ourZone() + strangersZone()})
		// The path is valid only inside the new root.
		p.master += addr + ` inet n - y - - smtpd
  -o smtpd_milters=unix:/signpost/milter.sock
  -o cleanup_service_name=cleanup-chroot
cleanup-chroot unix n - y - 0 cleanup
`
	})
	const out, in = "chroot-out@" + destDomain, "chroot-in@" + destDomain
	accepted(t, dial(t, addr, colleague).send("alice@"+ourDomain, []string{out}, ourMail(out, "from a chroot")))
	signedFor(t, p.sink.wait(t, out).Data, 1)
	l := letter{from: "a@strict.example", signed: true}
	accepted(t, dial(t, addr, stranger).send(l.from, []string{in}, l.text(t, in)))
	if v := verdictsOf(t, p.sink.wait(t, in).Data); v["dmarc"] != "pass" {
		t.Errorf("dmarc=%s, want pass", v["dmarc"])
	}
	info, err := os.Stat(strings.TrimPrefix(d.listen, "unix:"))
	check(t, err)
	if info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("the socket has mode %v, want 0660", info.Mode())
	}
}
