package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// replaceFile writes a file anew, whole or not at all, with its owner and mode. It
// refuses where the file is no longer what it was when it was read. All is done in
// the folder as it was opened, which has to hold that very text: another user who swaps
// the folder cannot have it done elsewhere.
func replaceFile(path string, was, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	name := filepath.Base(path)
	info, err := unchanged(folder, name, was)
	if err != nil {
		return fmt.Errorf("%s %w: run the command again", path, err)
	}
	temporary := ".new-" + rand.Text() + ".yaml"
	f, err := folder.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer folder.Remove(temporary)
	defer f.Close()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = f.Chown(int(st.Uid), int(st.Gid))
	}
	_, wrote := f.Write(text)
	if err := errors.Join(err, f.Chmod(info.Mode().Perm()), wrote, f.Sync()); err != nil {
		return err
	}
	if _, err := unchanged(folder, name, was); err != nil {
		return fmt.Errorf("%s %w: run the command again", path, err)
	}
	return folder.Rename(temporary, name)
}

// unchanged returns the file information of a plain file that has this text.
func unchanged(folder *os.Root, name string, text []byte) (fs.FileInfo, error) {
	// Without O_NONBLOCK a named pipe would hold us.
	f, err := folder.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errChanged
	}
	now, err := io.ReadAll(io.LimitReader(f, int64(len(text))+1))
	if err == nil && !bytes.Equal(now, text) {
		err = errChanged
	}
	return info, err
}

var errChanged = errors.New("was changed by somebody else at the same time")
