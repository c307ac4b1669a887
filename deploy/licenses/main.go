// Licenses prints the licence texts of the modules that a program is built from, for the copyright file of packages:
//
//	go run ./deploy/licenses ./cmd/signpost
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./deploy/licenses PACKAGE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

// run lists the modules of both kinds of build, with Go's own library first.
func run(pkg string) error {
	var modules []string
	for _, tags := range []string{"", "libcrypto"} {
		list := exec.Command("go", "list", "-deps", "-tags", tags, "-f", "{{with .Module}}{{if .Version}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", pkg)
		list.Stderr = os.Stderr
		text, err := list.Output()
		if err != nil {
			return err
		}
		modules = append(modules, strings.Fields(strings.ReplaceAll(string(text), " ", "@"))...)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	var found []string
	for i := 0; i+1 < len(modules); i += 2 {
		found = append(found, modules[i]+"\t"+modules[i+1])
	}
	slices.Sort(found)
	if err := show("The Go standard library", string(bytes.TrimSpace(root))); err != nil {
		return err
	}
	for _, m := range slices.Compact(found) {
		name, dir, _ := strings.Cut(m, "\t")
		if err := show(name, dir); err != nil {
			return err
		}
	}
	return nil
}

// show prints the licence of one module.
func show(name, dir string) error {
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(files) == 0 {
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "Apache License") && strings.Contains(string(text), "TERMS AND CONDITIONS FOR USE") {
			text = []byte("Apache License, Version 2.0: see /usr/share/common-licenses/Apache-2.0")
		}
		fmt.Printf("\n%s\n\n%s\n", name, bytes.TrimSpace(text))
		return nil
	}
	return fmt.Errorf("%s has no file with its licence", name)
}
