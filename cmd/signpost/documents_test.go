package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"signpost/internal/daemon"
	"signpost/internal/manual"
)

// documentBlock is a piece of code in a document: fenced, indented by four blanks, or a span in a line.
type documentBlock struct {
	where string // README.md:12
	kind  string // the word behind ```; "indented" or "span"
	text  string
}

func (b documentBlock) file() string { name, _, _ := strings.Cut(b.where, ":"); return name }

var topSection = regexp.MustCompile(`^(milter|dns|keys|signer|verifier|reports|log|control|metrics):( |\n|$)`)

// isConfiguration reports whether the block is a configuration that can be loaded.
func (b documentBlock) isConfiguration() bool {
	return b.kind == "yaml" || b.kind == "indented" && topSection.MatchString(b.text) && !strings.Contains(b.text, "…")
}

var shellLine = regexp.MustCompile(`^(signpost|systemctl|systemd-tmpfiles|postconf|postfix|usermod|journalctl|runuser|promtool) `)

// isShell reports whether the block is commands that run.
func (b documentBlock) isShell() bool {
	if b.kind != "indented" {
		return b.kind == "sh"
	}
	for line := range strings.Lines(b.text) {
		if line = strings.TrimSpace(line); line != "" && !shellLine.MatchString(line) {
			return false
		}
	}
	return true
}

func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d documents: %v", len(files), err)
	}
	return append(files, "../../README.md", "../../SECURITY.md", "../../CONTRIBUTING.md")
}

func documentBlocks(t *testing.T) []documentBlock {
	t.Helper()
	var blocks []documentBlock
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, blocksOf(filepath.Base(path), string(text))...)
	}
	return blocks
}

var (
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	codeBlank = regexp.MustCompile(`^ {4,}`)
)

func blocksOf(file, text string) []documentBlock {
	var blocks []documentBlock
	var open *documentBlock
	fenced, indent := false, 0
	closeBlock := func() {
		if open != nil {
			blocks = append(blocks, *open)
		}
		open, fenced = nil, false
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n ")
		where := fmt.Sprintf("%s:%d", file, number)
		kind, fence := strings.CutPrefix(line, "```")
		switch blank := codeBlank.FindString(line); {
		case fenced && fence:
			closeBlock()
		case fenced:
			open.text += line + "\n"
		case fence:
			closeBlock()
			open, fenced = &documentBlock{where: where, kind: kind}, true
		case open != nil && (line == "" || len(blank) >= indent):
			open.text += line[min(indent, len(line)):] + "\n"
		case blank != "":
			closeBlock()
			indent = len(blank)
			open = &documentBlock{where: where, kind: "indented", text: line[indent:] + "\n"}
		default:
			closeBlock()
			for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
				blocks = append(blocks, documentBlock{where, "span", m[1]})
			}
		}
	}
	closeBlock()
	return blocks
}

// Every configuration in the documents loads.
func TestDocumentedConfigurationsLoad(t *testing.T) {
	n := 0
	for _, b := range documentBlocks(t) {
		if !b.isConfiguration() {
			continue
		}
		n++
		if _, _, err := daemon.Read(writeFile(t, "signpost.yaml", b.text)); err != nil {
			t.Errorf("%s: %v\n%s", b.where, err, b.text)
		}
	}
	if n < 20 {
		t.Errorf("only %d configurations found", n)
	}
}

var (
	ourCommand   = regexp.MustCompile(`(?m)(?:^|[|;&(] *|-- |\$ )signpost ([a-z][^|;&#)>\n]*)`)
	commandWords = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
)

var documentedKey = regexp.MustCompile(`^(milter|dns|keys|signer|verifier|reports|log|control|metrics)(\.[a-z_]+)+(\[[a-z]*\])?(:|$)`)

func TestDocumentedKeysExist(t *testing.T) {
	root, err := configurationKeys()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	var add func(k *manual.Key)
	add = func(k *manual.Key) {
		known[strings.ReplaceAll(k.Path, "[]", "")] = true
		if k.Item != nil {
			add(k.Item)
		}
		for i := range k.Keys {
			add(&k.Keys[i])
		}
	}
	add(&root)
	found := 0
	for _, b := range documentBlocks(t) {
		key, _, _ := strings.Cut(documentedKey.FindString(b.text), "[")
		if key = strings.TrimSuffix(key, ":"); key == "" || b.kind != "span" || key == "keys.json" || strings.HasSuffix(key, ".example.com") {
			continue
		}
		found++
		if !known[key] && !strings.HasPrefix(strings.TrimPrefix(b.text, key), "-") {
			t.Errorf("%s: there is no key %s", b.where, key)
		}
	}
	if found < 100 {
		t.Errorf("only %d keys were found in the documents", found)
	}
}

// Every command in the documents exists, with the options that are given there.
func TestDocumentedCommandsExist(t *testing.T) {
	known := described()
	n := 0
	for _, b := range documentBlocks(t) {
		if b.kind == "yaml" {
			continue
		}
		text := strings.ReplaceAll(b.text, "\\\n", " ")
		for _, m := range ourCommand.FindAllStringSubmatch(text, -1) {
			n++
			if problem := unknownIn(known, commandWords.FindAllString(m[1], -1)); problem != "" {
				t.Errorf("%s: signpost %s: %s", b.where, m[1], problem)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d commands found", n)
	}
}

// unknownIn says what of a command line does not exist.
func unknownIn(known []manual.Command, words []string) string {
	i := -1
	for n := min(2, len(words)); n > 0 && i < 0; n-- {
		name := strings.Join(words[:n], " ")
		i = slices.IndexFunc(known, func(c manual.Command) bool { return c.Name == name })
	}
	if i < 0 {
		return "there is no such command"
	}
	if len(subcommands(known[i].Name)) > 0 && len(words) > 1 && words[1] != "help" && words[1][0] >= 'a' {
		return "there is no such command" // nothing but a placeholder stands for one of the group
	}
	for _, w := range words {
		name, isOption := strings.CutPrefix(w, "--")
		name, _, _ = strings.Cut(name, "=")
		if name = strings.TrimRight(name, "],…"); !isOption || name == "" || name == "help" || !strings.HasPrefix(known[i].Name, words[0]) {
			continue
		}
		if !slices.ContainsFunc(known[i].Options, func(o manual.Option) bool { return o.Name == name }) {
			return "there is no option --" + name
		}
	}
	return ""
}

// Links between the documents lead to a file, and to a heading in it.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, path := range append(documents(t), "../../ARCHITECTURE.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			file, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") || strings.HasPrefix(file, "mailto:") {
				continue
			}
			target := filepath.Join(filepath.Dir(path), file)
			if file == "" {
				target = path
			}
			found, err := os.ReadFile(target)
			if err != nil && !isFolder(target) {
				t.Errorf("%s: %s leads nowhere", filepath.Base(path), m[1])
			}
			if heading != "" && !slices.Contains(anchors(string(found)), heading) {
				t.Errorf("%s: %s has no such heading", filepath.Base(path), m[1])
			}
		}
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// anchors are the headings of a document as sites make links of them.
func anchors(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			title = strings.ToLower(strings.TrimSpace(title))
			title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(title, "")
			list = append(list, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return list
}

// README is short.
func TestREADMEIsShort(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(string(text))); n >= 1200 {
		t.Errorf("README.md has %d words", n)
	}
}

// The blocks ```sh of each document, and its indented blocks of commands, run one after the other in a host of their own: fresh folders over /etc, /var and
// /run, a network of loopback alone, and a daemon once there is a configuration. A block may end with 1 where a command in it
// reports findings; 2 is a wrong command line. Blocks ```sh parsed are only parsed.
func TestDocumentedCommandsRun(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this needs root, to make a host of its own")
	}
	needs(t, "unshare")
	if out, err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("no namespaces here: %s", out)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "signpost"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	scripts := map[string]string{}
	for _, b := range documentBlocks(t) {
		if !b.isShell() && b.kind != "sh parsed" {
			continue
		}
		if out, err := exec.Command("bash", "-n", writeFile(t, "block", b.text)).CombinedOutput(); err != nil {
			t.Errorf("%s: %s\n%s", b.where, out, b.text)
		}
		if b.isShell() {
			path := writeFile(t, "block", b.text)
			scripts[b.file()] += fmt.Sprintf("block %s %s\n", b.where, path)
		}
	}
	if len(scripts) < 5 {
		t.Errorf("only %d documents have commands", len(scripts))
	}
	for file, script := range scripts {
		t.Run(file, func(t *testing.T) {
			t.Parallel() // it waits more than it works
			harness, err := filepath.Abs("testdata/documents/host.sh")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", harness, file, writeFile(t, "script", script))
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SCRATCH="+t.TempDir())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
