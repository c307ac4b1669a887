package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAReplacedFileKeepsItsModeAndIsReplacedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.yaml", link); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, []byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path, []byte("old"), []byte("newer")); err == nil || !strings.Contains(err.Error(), "was changed by somebody else") {
		t.Errorf("a file that was changed meanwhile: %v", err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("the mode is %v (%v)", info.Mode(), err)
	}
	if text, _ := os.ReadFile(path); string(text) != "new" {
		t.Errorf("the file has %q", text)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left in the folder: %v", left)
	}
}

// Another user, whose file root changes, swaps its folder for a link to a folder of
// root's. Nothing may be written there.
func TestNoSwappedFolderLeadsAReplacedFileElsewhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this needs root")
	}
	const uid = 65534
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	target, conf := filepath.Join(dir, "target"), filepath.Join(dir, "theirs", "conf")
	for _, folder := range []string{target, conf} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{filepath.Join(target, "table"): "root's", filepath.Join(conf, "table"): "text"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(conf), conf, filepath.Join(conf, "table")} {
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	running := filepath.Join(dir, "go")
	if err := os.WriteFile(running, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	swapper := exec.Command("sh", "-c", "while [ -e ../go ]; do mv conf away && ln -s ../target conf; rm conf && mv away conf; done")
	swapper.Dir = filepath.Dir(conf)
	swapper.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := swapper.Start(); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		_ = replaceFile(filepath.Join(conf, "table"), []byte("text"), []byte("text"))
	}
	if err := os.Remove(running); err != nil {
		t.Fatal(err)
	}
	_ = swapper.Wait()
	after, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	if after.ModTime() != before.ModTime() {
		t.Errorf("something was made in the folder of root's")
	}
}
