// Package internal_test holds the rules of ARCHITECTURE.md that a compiler does
// not: who may import whom, and what the cores must not do.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "signpost/"

// mayImport says for each package which of ours it may import. It is the policy,
// not a list of what happens to be: it is not extended to mend a build.
var mayImport = map[string][]string{
	"internal/message": nil,

	// The cores know the message and nothing else.
	"internal/authres": {
		"internal/message",
	},
	"internal/arc": {
		"internal/dkim",
		"internal/message",
	},
	"internal/dkim": {
		"internal/message",
	},
	"internal/dmarc": {
		"internal/message",
	},
	"internal/spf": {
		"internal/message",
	},

	// Reports: their formats are pure, too.
	"internal/reports/aggregate": {
		"internal/reports/refusal",
	},
	"internal/reports/refusal": nil,
	"internal/reports/outgoing": {
		"internal/dmarc",
		"internal/message",
		"internal/reports/aggregate",
		"internal/reports/store",
		"internal/submission",
	},
	"internal/reports/notices": {
		"internal/reports/incoming",
		"internal/reports/store",
	},
	"internal/submission": nil,
	"internal/reports/tlsrpt": {
		"internal/reports/refusal",
	},
	"internal/reports/unpack": {
		"internal/reports/refusal",
	},
	"internal/reports/incoming": {
		"internal/config",
		"internal/display",
		"internal/dkim",
		"internal/message",
		"internal/reports/aggregate",
		"internal/reports/refusal",
		"internal/reports/store",
		"internal/reports/tlsrpt",
		"internal/reports/unpack",
	},

	".":               nil, // the example configuration
	"internal/config": nil,
	"internal/manual": {
		"internal/config",
	},
	"internal/dns": {
		"internal/clock",
		"internal/config",
		"internal/message",
	},
	"internal/dns/dnstest": {
		"internal/dns",
	},
	"internal/dns/toydns": nil,
	"internal/conformance": {
		"internal/dns",
	},
	"internal/conformance/casefile": nil,
	"internal/conformance/table":    nil,
	"internal/opendkim": {
		"internal/message",
	},

	"internal/display": nil,
	"internal/clock":   nil,
	"internal/giveway": nil,
	"internal/openssl": {
		"internal/clock",
	},
	"internal/mta": nil,
	"internal/why": nil, // tests of libraries, none of ours

	"internal/tablesource": {
		"signer",
	},
	"internal/reports": {
		"internal/config",
		"internal/reports/incoming",
		"internal/reports/outgoing",
		"internal/reports/page",
		"internal/reports/store",
	},
	"internal/reports/page": {
		"internal/display",
		"internal/reports/aggregate",
		"internal/reports/incoming",
		"internal/reports/outgoing",
		"internal/reports/store",
		"internal/reports/traffic",
		"internal/reports/unpack",
		"internal/unixsocket",
	},
	"internal/reports/sample": {
		"internal/reports/aggregate",
		"internal/reports/incoming",
		"internal/reports/refusal",
		"internal/reports/store",
	},
	"internal/reports/store": nil,
	"internal/reports/traffic": {
		"internal/config",
		"internal/dkim",
		"internal/dmarc",
		"internal/message",
		"internal/reports/store",
		"internal/spf",
		"milter",
		"verifier",
	},
	"internal/reports/store/storetest": {
		"internal/reports/store",
	},
	"internal/epoll":      nil,
	"internal/unixsocket": nil,
	"internal/control": {
		"internal/unixsocket",
	},
	"internal/status": {
		"internal/display",
		"internal/message",
	},
	"internal/shell": nil,

	"keys": {
		"internal/config",
		"internal/dkim",
		"internal/message",
		"internal/openssl",
		"internal/shell",
	},
	"keys/lifecycle": {
		"internal/shell",
		"keys",
	},

	"signer": {
		"internal/arc",
		"internal/config",
		"internal/dkim",
		"internal/message",
		"keys",
		"keys/lifecycle",
	},
	"verifier": {
		"internal/arc",
		"internal/authres",
		"internal/config",
		"internal/dkim",
		"internal/dmarc",
		"internal/message",
		"internal/spf",
	},
	"milter": {
		"internal/config",
		"internal/epoll",
		"internal/message",
		"internal/unixsocket",
	},

	"internal/tail": {
		"internal/message",
		"milter",
	},
	"internal/setup": {
		"internal/control",
		"internal/daemon",
		"internal/dns",
		"internal/message",
		"internal/mta",
		"internal/shell",
		"internal/status",
		"internal/tail",
		"keys",
		"keys/lifecycle",
		"milter",
	},

	"internal/daemon": {
		"internal/config",
		"internal/control",
		"internal/dmarc",
		"internal/dns",
		"internal/giveway",
		"internal/message",
		"internal/reports",
		"internal/reports/incoming",
		"internal/reports/notices",
		"internal/reports/outgoing",
		"internal/reports/page",
		"internal/reports/refusal",
		"internal/reports/store",
		"internal/reports/traffic",
		"internal/status",
		"internal/submission",
		"internal/tablesource",
		"internal/tail",
		"keys",
		"keys/lifecycle",
		"milter",
		"signer",
		"verifier",
	},

	// The doctor looks at everything from outside.
	"internal/doctor": {
		"internal/control",
		"internal/daemon",
		"internal/dkim",
		"internal/dmarc",
		"internal/dns",
		"internal/message",
		"internal/mta",
		"internal/reports/outgoing",
		"internal/shell",
		"internal/spf",
		"keys",
		"keys/lifecycle",
		"milter",
		"signer",
		"verifier",
	},

	"cmd/signpost": {
		".",
		"internal/config",
		"internal/control",
		"internal/daemon",
		"internal/display",
		"internal/dns",
		"internal/doctor",
		"internal/manual",
		"internal/message",
		"internal/opendkim",
		"internal/reports/incoming",
		"internal/reports/outgoing",
		"internal/reports/page",
		"internal/reports/refusal",
		"internal/reports/sample",
		"internal/reports/store",
		"internal/reports/traffic",
		"internal/reports/unpack",
		"internal/setup",
		"internal/shell",
		"internal/status",
		"internal/tablesource",
		"internal/tail",
		"keys",
		"keys/lifecycle",
		"milter",
		"signer",
		"verifier",
	},
	"deploy/licenses":  nil,
	"e2e/report":       nil,
	"e2e/bench/ratios": nil,
	"e2e": {
		"internal/dns",
		"internal/dns/dnstest",
		"internal/message",
	},
}

// cores are pure: what they decide depends on their arguments alone.
var cores = []string{"internal/message", "internal/arc", "internal/authres", "internal/dkim", "internal/dmarc", "internal/spf", "internal/reports/aggregate", "internal/reports/tlsrpt", "internal/reports/unpack"}

// impure are the packages through which a core could reach the world.
var impure = []string{"net", "net/http", "os", "log", "log/slog", "syscall", "os/exec", "math/rand", "math/rand/v2"}

// clockCalls are the functions of package time that read the clock or wait.
var clockCalls = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

type source struct {
	pkg  string // folder below the module root
	file string
	ast  *ast.File
}

// sources parses every Go file of the project that is no test.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var found []source
	fset := token.NewFileSet()
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, p, nil, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		found = append(found, source{path.Dir(rel), rel, f})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d source files found below %s", len(found), root)
	}
	return found
}

func imports(f *ast.File) []string {
	var paths []string
	for _, i := range f.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

func TestDataRunsDownhill(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := mayImport[s.pkg]
		if !known {
			t.Errorf("%s: package %s has no line in the table of imports", s.file, s.pkg)
			continue
		}
		for _, p := range imports(s.ast) {
			ours, isOurs := strings.CutPrefix(p, module)
			if isOurs && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; %s may import only %v", s.file, ours, s.pkg, allowed)
			}
		}
	}
}

func TestTheCoresDoNoIO(t *testing.T) {
	for _, s := range sources(t) {
		if !slices.Contains(cores, s.pkg) {
			continue
		}
		for _, p := range imports(s.ast) {
			if slices.Contains(impure, p) {
				t.Errorf("%s imports %s: a core does no I/O", s.file, p)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine: a core leaves that to its caller", s.file)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clockCalls, n.Sel.Name) {
					t.Errorf("%s calls time.%s: a core gets the time as an argument", s.file, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// miekg/dns is the one library through which the network is asked, and only
// internal/dns has seen an rcode.
func TestOnlyTheResolverKnowsDNSMessages(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range imports(s.ast) {
			if strings.HasPrefix(p, "github.com/miekg/dns") && !strings.HasPrefix(s.pkg, "internal/dns") {
				t.Errorf("%s imports %s: only internal/dns may", s.file, p)
			}
			if strings.HasPrefix(p, "github.com/emersion/") && s.pkg != "cmd/signpost" && s.pkg != "milter" {
				t.Errorf("%s imports %s: go-msgauth and go-milter's client are second opinions, for tests and for the commands", s.file, p)
			}
		}
	}
}

// The database drivers are large, and each has its traps: two packages open databases, and those of
// the reports use what internal/reports/store has opened.
func TestFewPackagesKnowDatabases(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range imports(s.ast) {
			driver := strings.HasPrefix(p, "github.com/jackc/pgx") || strings.HasPrefix(p, "modernc.org/sqlite")
			if driver && s.pkg != "internal/tablesource" && !strings.HasPrefix(s.pkg, "internal/reports/store") {
				t.Errorf("%s imports %s: only internal/tablesource and internal/reports/store may", s.file, p)
			}
			if p == "database/sql" && s.pkg != "internal/tablesource" && !strings.HasPrefix(s.pkg, "internal/reports") {
				t.Errorf("%s imports %s: only internal/tablesource and internal/reports may", s.file, p)
			}
		}
	}
}

// maxExports is how many names a package may export, methods not counted.
const maxExports = 40

func TestNoPackageExportsMoreThan40Names(t *testing.T) {
	exported := map[string]map[string]bool{} // by package; a name of several build tags counts once
	for _, s := range sources(t) {
		if exported[s.pkg] == nil {
			exported[s.pkg] = map[string]bool{}
		}
		for _, name := range exports(s.ast) {
			exported[s.pkg][name] = true
		}
	}
	for pkg, names := range exported {
		if n := len(names); n > maxExports {
			t.Errorf("package %s exports %d names, more than %d: split it", pkg, n, maxExports)
		}
	}
}

// exports returns the names that a file exports, without methods.
func exports(f *ast.File) []string {
	var names []string
	add := func(id *ast.Ident) {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						add(id)
					}
				}
			}
		}
	}
	return names
}
