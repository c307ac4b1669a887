package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	customer     = "customer.example" // signs with our key under its own name
	neighbouring = "other.example"    // has a key of its own
)

// tableFile writes a file of entries, readable for the daemon.
func tableFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(folder(t), "customers")
	write(t, path, strings.Join(lines, "\n")+"\n")
	return path
}

// keyFor puts a key file into a domain's folder, for the daemon's user.
func (d *daemon) keyFor(t *testing.T, domain string, k testKey) (path string) {
	t.Helper()
	uid, gid := ids(t, "nobody", "postfix")
	dir := d.path("keys/" + domain)
	check(t, os.MkdirAll(dir, 0o755))
	path = filepath.Join(dir, k.selector+".pem")
	check(t, os.WriteFile(path, k.pem, 0o600))
	for _, p := range []string{dir, path} {
		check(t, os.Chown(p, uid, gid))
	}
	return path
}

// mailOf is a message from an author of the domain.
func mailOf(domain, rcpt string) string {
	return strings.ReplaceAll(ourMail(rcpt, "hello"), "alice@"+ourDomain, "alice@"+domain)
}

func TestAKeyFileMissingAtTheStartCostsItsEntryAlone(t *testing.T) {
	want(t)
	keys := ourKeys()
	rsa, ed := keys[0], keys[2]
	zone := ourZone() + rsa.line(customer) + ed.line(neighbouring)
	table := tableFile(t, customer+" rsa keys_of="+ourDomain)
	c := config{Listen: []string{"inet:" + freeAddr(t)}, Zone: zone, Signer: "  require_published: true\n  tables: [" + table + "]\n"}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter())
	file := d.keyFor(t, neighbouring, ed)
	write(t, table, customer+" rsa keys_of="+ourDomain+"\n"+neighbouring+" ed\n")
	d.reload(t)

	send := func(t *testing.T, name, domain string) reply {
		t.Helper()
		rcpt := name + "@" + destDomain
		return dial(t, p.mx, colleague).send("alice@"+domain, []string{rcpt}, mailOf(domain, rcpt))
	}
	signed := func(t *testing.T, name, domain string) {
		t.Helper()
		accepted(t, send(t, name, domain))
		if msg := p.sink.wait(t, name+"@"+destDomain).Data; signatures(msg) != 1 {
			t.Errorf("%s: %d signatures on\n%s", domain, signatures(msg), head(msg))
		}
	}
	signed(t, "before", neighbouring)
	check(t, os.Remove(file))
	d.restart(t)
	d.logged(t, "level=ERROR", "a listed key cannot be used", "there is no file "+file)
	if r := send(t, "lost", neighbouring); r.code != 451 {
		t.Errorf("a message of the entry without its key is answered with %v, want 451", r)
	}
	d.logged(t, "error=", "signing as "+neighbouring, "there is no file "+file)
	signed(t, "ours", ourDomain)
	signed(t, "customers", customer)
	d.reload(t) // a reload is not held up by what is missing already
	if len(d.log.find(func(line string) bool { return strings.Contains(line, "reload refused") })) > 0 {
		t.Error("the reload is refused")
	}
	d.keyFor(t, neighbouring, ed)
	d.reload(t)
	signed(t, "again", neighbouring)
}
