package internal_test

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	goName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)+$`)
	goFile   = regexp.MustCompile(`^[\w./-]+\.go$`)
)

// ARCHITECTURE.md names functions, types and files, as `package.Name`, `Type.method` and
// `folder/file.go`. Each exists.
func TestArchitectureNamesWhatExists(t *testing.T) {
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	declared, packages, files := declarations(t)
	for _, m := range codeSpan.FindAllStringSubmatch(string(text), -1) {
		name := m[1]
		switch {
		case goFile.MatchString(name):
			if _, err := os.Stat(filepath.Join("..", name)); err != nil && !files[path.Base(name)] {
				t.Errorf("there is no file %s", name)
			}
		case goName.MatchString(name):
			// The first part is a package or a type of ours; a library is neither. A
			// section of the configuration has the name of a package, and keys in lower case.
			parts := strings.Split(name, ".")
			owner, isType := declared[parts[0]], packages[parts[0]] == ""
			if owner != nil && !owner[parts[1]] && (isType || ast.IsExported(parts[1])) {
				t.Errorf("%s: nothing of that name in %s", name, parts[0])
			}
		}
	}
}

// declarations returns the members of each package and of each type, the folders of the
// packages, and the names of all Go files.
func declarations(t *testing.T) (members map[string]map[string]bool, packages map[string]string, files map[string]bool) {
	members, packages, files = map[string]map[string]bool{}, map[string]string{}, map[string]bool{}
	add := func(owner, name string) {
		if members[owner] == nil {
			members[owner] = map[string]bool{}
		}
		members[owner][name] = true
	}
	for _, s := range sources(t) {
		files[path.Base(s.file)] = true
		pkg := s.ast.Name.Name
		packages[pkg] = s.pkg
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				add(pkg, d.Name.Name)
				if d.Recv != nil {
					add(receiver(d.Recv.List[0].Type), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(pkg, spec.Name.Name)
						addFields(add, spec)
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							add(pkg, n.Name)
						}
					}
				}
			}
		}
	}
	return members, packages, files
}

// addFields adds the fields of a struct and the methods of an interface.
func addFields(add func(owner, name string), spec *ast.TypeSpec) {
	var list *ast.FieldList
	switch t := spec.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			add(spec.Name.Name, n.Name)
		}
	}
}

func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}
