// Package conformance reads published test suites that are kept as data beside
// the project, and runs them. It serves tests only. The suites are not copied
// into the project: where they are absent the tests that need them skip, visibly.
//
// They are in ../shared/cases beside the folder of go.mod, or in the folder that the
// environment variable SIGNPOST_CASES names. Each suite is a folder with a cases.json
// and, if it has messages, a folder of raw files.
//
// A case that we fail on purpose is listed in testdata/exceptions-SUITE.txt of the
// package under test, with the reason. An exception that passes is an error.
package conformance

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Suite is one published suite.
type Suite struct {
	Name string // of its folder
	Dir  string
	// Label distinguishes runs of one suite ("legacy"); empty for the only or main
	// run. See As.
	Label string
	Cases []Case

	zones map[string]zoneData
}

// Case is one case of a suite. Fields that only some kinds have are in Raw; see Decode.
type Case struct {
	ID            string          `json:"id"`
	Kind          string          `json:"kind"`
	Description   string          `json:"description"`
	Message       string          `json:"message"` // path below the suite's folder
	IP            string          `json:"ip"`
	Helo          string          `json:"helo"`
	MailFrom      *string         `json:"mailfrom"` // nil: the case has none; "": the null sender
	Rcpt          any             `json:"rcpt"`
	ZoneName      string          `json:"zone"`
	Now           *int64          `json:"now"` // Unix time to judge at; nil: the clock does not matter
	Modes         []string        `json:"modes"`
	LegacyOptions *LegacyOptions  `json:"legacy_options"`
	Expect        json.RawMessage `json:"expect"`
	ExpectLegacy  json.RawMessage `json:"expect_legacy"`
	DNS           zoneData        `json:"dns"`

	Raw json.RawMessage `json:"-"` // the whole case
}

// LegacyOptions are the allowances under which ExpectLegacy is the answer.
type LegacyOptions struct {
	MinRSABits    int  `json:"min_rsa_bits"`
	AllowSHA1     bool `json:"allow_sha1"`
	AllowMissingV bool `json:"allow_missing_v"`
}

// Decode reads the whole case into v, for fields of its kind.
func (c Case) Decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(c.Raw, v); err != nil {
		t.Fatalf("read case %s: %v", c.ID, err)
	}
}

// Load reads a suite by the name of its folder. It skips the test if the suites are
// absent.
func Load(t testing.TB, suite string) *Suite {
	t.Helper()
	dir := filepath.Join(casesDir(t), suite)
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatalf("read suite %s: %v", suite, err)
	}
	var file struct {
		Count int                 `json:"count"`
		Zones map[string]zoneData `json:"zones"`
		Cases []json.RawMessage   `json:"cases"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatalf("read suite %s: %v", suite, err)
	}
	if file.Count != len(file.Cases) {
		t.Fatalf("suite %s says that it has %d cases, and has %d", suite, file.Count, len(file.Cases))
	}
	s := &Suite{Name: suite, Dir: dir, zones: file.Zones}
	for _, raw := range file.Cases {
		c := Case{Raw: raw}
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatalf("read suite %s, case %.60s: %v", suite, raw, err)
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}

// As returns the same suite for another run, such as "legacy" for the answers under
// LegacyOptions. That run has its own exceptions, in
// testdata/exceptions-SUITE-LABEL.txt, and its own line in the summary.
func (s *Suite) As(label string) *Suite {
	other := *s
	other.Label = label
	return &other
}

// title is the suite's name in files and in the summary.
func (s *Suite) title() string {
	if s.Label == "" {
		return s.Name
	}
	return s.Name + "-" + s.Label
}

// OfKind returns the cases of these kinds, in the suite's order.
func (s *Suite) OfKind(kinds ...string) []Case {
	var out []Case
	for _, c := range s.Cases {
		for _, k := range kinds {
			if c.Kind == k {
				out = append(out, c)
			}
		}
	}
	return out
}

// MessageBytes reads the case's message, raw, as it is in the suite.
func (s *Suite) MessageBytes(t testing.TB, c Case) []byte {
	t.Helper()
	if c.Message == "" || !filepath.IsLocal(c.Message) {
		t.Fatalf("case %s has no message of its own: %q", c.ID, c.Message)
	}
	b, err := os.ReadFile(filepath.Join(s.Dir, c.Message))
	if err != nil {
		t.Fatalf("case %s: %v", c.ID, err)
	}
	return b
}

func casesDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SIGNPOST_CASES")
	if dir == "" {
		dir = filepath.Join(moduleRoot(t), "..", "shared", "cases")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("%s\tthe public suites are not in %s; set SIGNPOST_CASES to their folder", markSkipped, dir)
	}
	return dir
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod in this folder or above it")
		}
		dir = up
	}
}

// LoadFolders reads a suite with one folder for each case and a file expected.json in
// it: the folder's name is the case's ID, the file its Raw. It skips the test if the
// suite is absent.
func LoadFolders(t testing.TB, suite string) *Suite {
	t.Helper()
	dir := filepath.Join(casesDir(t), suite)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s\tthe suite %s is not in %s", markSkipped, suite, casesDir(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &Suite{Name: suite, Dir: dir}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name(), "expected.json"))
		if err != nil {
			continue // not a case
		}
		c := Case{Raw: raw, ID: e.Name()}
		if !json.Valid(raw) {
			t.Fatalf("suite %s: %s/expected.json is not JSON", suite, e.Name())
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}
