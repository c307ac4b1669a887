package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// file is a configuration with every kind of value.
type file struct {
	Milter milterSection `yaml:"milter"`
	Signer signerSection `yaml:"signer"`
}

type milterSection struct {
	Listen     []listener    `yaml:"listen"`
	SocketMode FileMode      `yaml:"socket_mode"`
	MaxMessage Size          `yaml:"max_message_bytes"`
	Timeout    time.Duration `yaml:"timeout"`
	MaxConns   uint16        `yaml:"max_connections"`
}

// listener is written as one word or as keys.
type listener struct {
	Address string `yaml:"address"`
	Role    word   `yaml:"role"`
}

type word string

func (l *listener) UnmarshalText(text []byte) error {
	if !strings.Contains(string(text), ":") {
		return errors.New("no colon in the address: write inet:HOST:PORT")
	}
	l.Address = string(text)
	return nil
}

type signerSection struct {
	Ours struct {
		Networks      []netip.Prefix `yaml:"networks"`
		Via           netip.Addr     `yaml:"via"`
		Authenticated bool           `yaml:"authenticated"`
	} `yaml:"ours"`
	Domains []domain `yaml:"domains"`
	OnError string   `yaml:"on_error"`
	Retries int8     `yaml:"retries"`
	Publish *bool    `yaml:"publish"`
	secret  string
}

type domain struct {
	Domain    string   `yaml:"domain"`
	Selectors []string `yaml:"selectors"`
}

func defaults() file {
	var f file
	f.Milter.Listen = []listener{{Address: "inet:127.0.0.1:8891"}}
	f.Milter.SocketMode = 0o660
	f.Milter.MaxMessage = 150e6
	f.Milter.Timeout = 2 * time.Second
	f.Signer.Ours.Authenticated = true
	f.Signer.Ours.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	f.Signer.OnError = "tempfail"
	return f
}

// TestBadFiles reads each testdata/bad-*.yaml. Each line that begins with "# want " is
// one expected problem, without the file's name.
func TestBadFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/bad-*.yaml")
	if err != nil || len(names) < 20 {
		t.Fatalf("found %d bad files (%v)", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if problem, ok := strings.CutPrefix(strings.TrimSpace(line), "# want "); ok {
					want = append(want, "f.yaml:"+problem)
				}
			}
			v := defaults()
			got := fmt.Sprint(Decode("f.yaml", text, &v).Err())
			if got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

func TestEveryKindOfValueIsRead(t *testing.T) {
	const text = `
milter:
  listen:
    - inet:127.0.0.1:8891
    - {address: "unix:/run/signpost.sock", role: sign}
  socket_mode: 0600        # unquoted octal is the text that was written
  max_message_bytes: 1GiB
  timeout: 1m30s
  max_connections: 65535
signer:
  ours: {networks: [10.0.0.0/8, 192.0.2.7, "2001:db8::1", "::ffff:192.0.2.8"], via: "2001:db8::2", authenticated: false}
  domains:
    - domain: example.com
      selectors: [2026, s1, 0777, true]
    - domain: bücher.example
  on_error: "null"
  retries: -3
  publish: true
`
	got := defaults()
	if err := Decode("f.yaml", []byte(text), &got).Err(); err != nil {
		t.Fatal(err)
	}
	yes := true
	want := file{Milter: milterSection{
		Listen:     []listener{{Address: "inet:127.0.0.1:8891"}, {Address: "unix:/run/signpost.sock", Role: "sign"}},
		SocketMode: 0o600, MaxMessage: 1 << 30, Timeout: 90 * time.Second, MaxConns: 65535,
	}}
	want.Signer.Ours.Networks = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"),
		netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("192.0.2.8/32"),
	}
	want.Signer.Ours.Via = netip.MustParseAddr("2001:db8::2")
	want.Signer.Domains = []domain{
		{Domain: "example.com", Selectors: []string{"2026", "s1", "0777", "true"}}, {Domain: "bücher.example"},
	}
	want.Signer.OnError, want.Signer.Retries, want.Signer.Publish = "null", -3, &yes
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWhatIsAbsentKeepsItsDefault(t *testing.T) {
	for name, text := range map[string]string{
		"a section whose keys are commented out":  "signer:\n  # on_error: unsigned\nmilter: # nothing\n",
		"a section with braces and nothing in it": "signer: {ours: {}}",
		"Windows line ends":                       "signer:\r\n  on_error: tempfail\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := defaults()
			if err := Decode("f.yaml", []byte(text), &got).Err(); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, defaults()) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAFileWithoutAKeyIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"an empty file":           "",
		"a file of comments":      "# nothing\n\n# here\n",
		"an empty document":       "---\n",
		"a byte order mark alone": "\ufeff",
		"blank lines":             " \n\n",
		"empty braces":            "{}\n",
		"null":                    "null\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := defaults()
			err := Decode("f.yaml", []byte(text), &got).Err()
			if err == nil || !strings.HasPrefix(err.Error(), "f.yaml:1: the file has no key at all") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestAListReplacesTheDefaultList(t *testing.T) {
	got := defaults()
	if err := Decode("f.yaml", []byte("signer: {ours: {networks: []}}"), &got).Err(); err != nil {
		t.Fatal(err)
	}
	if n := got.Signer.Ours.Networks; n == nil || len(n) != 0 {
		t.Errorf("networks = %v, want an empty list", n)
	}
}

func TestABadValueLeavesTheDefaultAndTheRestIsRead(t *testing.T) {
	got := defaults()
	s := Decode("f.yaml", []byte("milter: {timeout: soon, socket_mode: rw, max_message_bytes: 7, listen: inet:1}\nsigner: {on_error: unsigned}"), &got)
	if s.Err() == nil {
		t.Error("no error")
	}
	want := defaults()
	want.Signer.OnError = "unsigned"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAFieldWithoutATagCannotBeSet(t *testing.T) {
	got := defaults()
	err := Decode("f.yaml", []byte("signer: {secret: x}"), &got).Err()
	if err == nil || got.Signer.secret != "" {
		t.Errorf("secret = %q, error %v", got.Signer.secret, err)
	}
}

func TestTheSizeOfTheFileIsBounded(t *testing.T) {
	text := make([]byte, MaxFile+1)
	for i := range text {
		text[i] = '#'
	}
	v := defaults()
	copy(text, "signer:\n")
	if err := Decode("f.yaml", text[:MaxFile], &v).Err(); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	want := "f.yaml:1: the file is larger than 16777216 bytes"
	if err := Decode("f.yaml", text, &v).Err(); err == nil || err.Error() != want {
		t.Errorf("beyond the limit: got %v, want %s", err, want)
	}
	name := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Read(name, &v)
	if err != nil || s.Err() == nil {
		t.Errorf("Read: %v, %v", err, s.Err())
	}
}

func TestReadNamesTheFileThatIsNotThere(t *testing.T) {
	v := defaults()
	name := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Read(name, &v)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v", err)
	}
}

func TestProblemsBeyondTheHundredthAreCounted(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	v := defaults()
	s := Decode("f.yaml", []byte(b.String()), &v)
	s.Bad("signer.domains", "is empty")
	lines := strings.Split(s.Err().Error(), "\n")
	if len(lines) != 101 || lines[100] != "f.yaml: 4901 more problems" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestAProblemStaysOnItsLineWhateverTheFileHolds(t *testing.T) {
	v := defaults()
	s := Decode("f.yaml", []byte(`"a\nf.yaml:9: b\u2028c\u0085": 1`+"\n"+`signer: {retries: "1\n2"}`), &v)
	s.Bad("signer.x\ny", "p\nq")
	if lines := strings.FieldsFunc(s.Err().Error(), func(r rune) bool { return r == '\n' || r == 0x85 || r == 0x2028 }); len(lines) != 3 {
		t.Errorf("%d lines for three problems: %q", len(lines), lines)
	}
}

// manyDomains is a configuration of n signing domains.
func manyDomains(n int) []byte {
	var b strings.Builder
	b.WriteString("signer:\n  domains:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {domain: d%d.example, selectors: [a, b]}\n", i)
	}
	return []byte(b.String())
}

// The mapping decoder of the YAML library compares all keys with each other. Ours must
// not, and a file full of mistakes must not cost more.
func BenchmarkDecode(b *testing.B) {
	unknown := strings.Builder{}
	for i := range 100_000 {
		fmt.Fprintf(&unknown, "a_key_that_nobody_knows_%d: 1\n", i)
	}
	for _, c := range []struct {
		name string
		text []byte
	}{
		{"1,000 domains", manyDomains(1000)},
		{"10,000 domains", manyDomains(10_000)},
		{"100,000 domains", manyDomains(100_000)},
		{"100,000 unknown keys", []byte(unknown.String())},
		{"100,000 wrong values", []byte("milter:\n  listen:\n" + strings.Repeat("    - x\n", 100_000))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				v := defaults()
				Decode("f.yaml", c.text, &v)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	names, _ := filepath.Glob("testdata/bad-*.yaml")
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Add(manyDomains(2))
	f.Fuzz(func(t *testing.T, text []byte) {
		v := defaults()
		s := Decode("f.yaml", text, &v)
		before := s.Err()
		s.Bad("signer.domains[1].selectors", "no")
		err := s.Err()
		if err == nil && before == nil {
			t.Fatal("a problem got lost")
		}
		if err == nil {
			return
		}
		// For every text, a problem is one line that begins with the file and one of
		// its lines.
		for line := range strings.Lines(err.Error()) {
			rest, ok := strings.CutPrefix(line, "f.yaml:")
			number, _, cut := strings.Cut(rest, ":")
			var n int
			_, scan := fmt.Sscan(number, &n)
			more := strings.HasSuffix(strings.TrimSpace(line), "more problems")
			if !more && (!ok || !cut || scan != nil || n < 1 || n > strings.Count(string(text), "\n")+strings.Count(string(text), "\r")+2+unicodeBreaks(text)) {
				t.Fatalf("problem %q of a text of %d lines", line, strings.Count(string(text), "\n"))
			}
		}
	})
}

// unicodeBreaks counts the line ends of YAML other than CR and LF.
func unicodeBreaks(text []byte) int {
	return strings.Count(string(text), "\u0085") + strings.Count(string(text), "\u2028") + strings.Count(string(text), "\u2029")
}
