package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

const (
	customer     = "customer.example" // signs with our key under its own name
	neighbouring = "other.example"    // has its own key
)

// tableFile writes a file of entries, readable for the daemon.
func tableFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(folder(t), "customers")
	write(t, path, strings.Join(lines, "\n")+"\n")
	return path
}

// keyFor puts a key file into a domain's folder, owned by the daemon's user.
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
	d.reload(t) // a reload does not fail for a file that is already missing
	if len(d.log.find(func(line string) bool { return strings.Contains(line, "reload refused") })) > 0 {
		t.Error("the reload is refused")
	}
	d.keyFor(t, neighbouring, ed)
	d.reload(t)
	signed(t, "again", neighbouring)
}

// asRoot runs a key command as the administrator does, and then lets the daemon's group
// read the keys: the group signpost, to which the command gives them, may not exist.
func (d *daemon) asRoot(t *testing.T, args ...string) string {
	t.Helper()
	bin, err := binary()
	check(t, err)
	out, err := exec.Command(bin, append(args, "--config", d.path("signpost.yaml"))...).CombinedOutput()
	if err != nil {
		t.Fatalf("signpost %v: %v\n%s", args, err, out)
	}
	_, gid := ids(t, "nobody", "postfix")
	check(t, filepath.WalkDir(d.path("keys"), func(path string, entry fs.DirEntry, err error) error {
		check(t, err)
		mode := fs.FileMode(0o640)
		if entry.IsDir() {
			mode = 0o750
		}
		check(t, os.Chown(path, 0, gid))
		return os.Chmod(path, mode)
	}))
	return string(out)
}

// A customer signs with our key under its own name. We rotate as the command says, and
// the customer's mail is always signed, across restarts too.
func TestARotationOfAKeyThatACustomerSignsWith(t *testing.T) {
	want(t)
	rsa := ourKeys()[0]
	ns := startNameserver(t, rsa.line(ourDomain)+rsa.line(customer), "")
	table := tableFile(t, customer+" rsa keys_of="+ourDomain)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Servers: []string{ns.addr}, CheckEvery: "1s",
		Signer: "  tables: [" + table + "]\n"})
	p := startPostfix(t, d.milter())
	sent := 0
	signedWith := func(domain string) string {
		t.Helper()
		sent++
		rcpt := fmt.Sprintf("lent-%d@%s", sent, destDomain)
		accepted(t, dial(t, p.mx, colleague).send("alice@"+domain, []string{rcpt}, mailOf(domain, rcpt)))
		msg := p.sink.wait(t, rcpt).Data
		results, err := dkim.VerifyWithOptions(bytes.NewReader(msg), &dkim.VerifyOptions{LookupTXT: ns.texts})
		if err != nil || len(results) != 1 || results[0].Err != nil || results[0].Domain != domain {
			t.Fatalf("message %d of %s does not verify: %v\n%s", sent, domain, err, head(msg))
		}
		return selectors(msg)
	}
	wantSigned := func(when, ours, customers string) {
		t.Helper()
		if got := signedWith(ourDomain); got != ours {
			t.Errorf("%s: our mail is signed with %q, want %q", when, got, ours)
		}
		if got := signedWith(customer); got != customers {
			t.Errorf("%s: the customer's mail is signed with %q, want %q", when, got, customers)
		}
	}
	publish := func(domain, selector string) {
		t.Helper()
		record := strings.TrimSpace(d.asRoot(t, "keys", "record", ourDomain, selector, "--format", "value"))
		ns.publish(t, selector+"._domainkey."+domain, record)
	}
	wantSigned("before", "rsa", "rsa")

	out := d.asRoot(t, "keys", "rotate", ourDomain, "--template", "next")
	if !strings.Contains(out, "keep rsa of "+ourDomain) || strings.Contains(out, "delete") {
		t.Errorf("the rotation does not tell to keep what the customer needs:\n%s", out)
	}
	publish(ourDomain, "next")
	d.reload(t)
	until(t, "the new key signs", func() bool { return signedWith(ourDomain) == "next" })
	wantSigned("after our own entry was changed", "next", "rsa")
	d.restart(t)
	wantSigned("after a restart", "next", "rsa")

	d.asRoot(t, "keys", "rotate", "--all-entries", ourDomain, "--template", "third")
	text, err := os.ReadFile(table)
	check(t, err)
	if !strings.Contains(string(text), customer+" rsa ") {
		t.Errorf("the customer listed rsa and not next; the table is now\n%s", text)
	}
	write(t, table, customer+" next keys_of="+ourDomain+"\n") // by hand, as the first command said
	write(t, d.path("signpost.yaml"), strings.Replace(d.read(t, "signpost.yaml"), "selectors: [third]", "selectors: [next]", 1))
	d.asRoot(t, "keys", "rotate", "--all-entries", ourDomain, "--template", "fourth")
	publish(ourDomain, "fourth")
	d.reload(t)
	until(t, "the new key signs", func() bool { return signedWith(ourDomain) == "fourth" })
	wantSigned("with the record of ours alone", "fourth", "rsa")
	publish(customer, "fourth")
	until(t, "the new key signs for the customer", func() bool { return signedWith(customer) == "fourth" })

	for _, old := range []string{"rsa", "next"} { // as the command said, after they have retired
		check(t, os.Remove(d.path("keys/"+ourDomain+"/"+old+".pem")))
		ns.publish(t, old+"._domainkey."+ourDomain, "v=DKIM1; p=")
		ns.publish(t, old+"._domainkey."+customer, "v=DKIM1; p=")
	}
	d.restart(t)
	wantSigned("with the old keys gone", "fourth", "fourth")
}

func (d *daemon) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(d.path(name))
	check(t, err)
	return string(text)
}
