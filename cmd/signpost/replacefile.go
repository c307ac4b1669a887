package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// replaceFile writes a file anew, whole or not at all, with its owner and mode. It
// refuses where the file is no longer what it was when it was read.
func replaceFile(path string, was, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*.yaml")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = f.Chown(int(st.Uid), int(st.Gid))
	}
	_, wrote := f.Write(text)
	if err := errors.Join(err, f.Chmod(info.Mode().Perm()), wrote, f.Sync()); err != nil {
		return err
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
		return fmt.Errorf("%s was changed by somebody else at the same time: run the command again", path)
	}
	return os.Rename(f.Name(), path)
}
