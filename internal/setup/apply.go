package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/mta"
)

// Change is a change of the MTA's configuration that was tried on a copy.
type Change struct {
	// Diff is what it changes, as diff(1) -u shows it.
	Diff string

	plan  *Plan
	files []string // of the MTA
}

// Preview runs the commands on a copy of the MTA's configuration. It returns nil if there is
// nothing to change.
func (p *Plan) Preview(ctx context.Context) (*Change, error) {
	if len(p.MTA.Commands) == 0 {
		return nil, nil
	}
	copied, err := os.MkdirTemp("", "signpost-init")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(copied)
	c := &Change{plan: p}
	for _, name := range []string{"main.cf", "master.cf"} {
		text, err := os.ReadFile(filepath.Join(p.MTA.Dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), text, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, words := range p.MTA.Commands {
		if err := postconf(ctx, copied, words); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"main.cf", "master.cf"} {
		file := filepath.Join(p.MTA.Dir, name)
		diff, err := difference(ctx, file, filepath.Join(copied, name))
		if err != nil {
			return nil, err
		}
		if diff != "" {
			c.Diff += diff
			c.files = append(c.files, file)
		}
	}
	return c, nil
}

// postconf runs one of our commands for the configuration in a folder.
func postconf(ctx context.Context, dir string, words []string) error {
	args := append([]string{"-c", dir}, words[len(words)-2:]...)
	out, err := exec.CommandContext(ctx, mta.Program("postconf"), args...).CombinedOutput()
	if err != nil {
		return &control.Error{Problem: fmt.Sprintf("%s: %v: %s", Command(words), err, strings.TrimSpace(string(out))), Remedy: "run it by hand"}
	}
	return nil
}

// difference is how two files differ, with the name of the first for both.
func difference(ctx context.Context, file, changed string) (string, error) {
	out, err := exec.CommandContext(ctx, "diff", "-u", "--label", file, "--label", file, file, changed).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return string(out), nil
	}
	return "", err
}

// Do makes the change, after a copy of each file that changes, whose paths it returns. It puts
// the change in force where the MTA runs.
func (c *Change) Do(ctx context.Context) (copies []string, err error) {
	for _, file := range c.files {
		to, err := keepCopy(file, c.plan.options.Now)
		if err != nil {
			return copies, err
		}
		copies = append(copies, to)
	}
	for _, words := range c.plan.MTA.Commands {
		if err := postconf(ctx, c.plan.MTA.Dir, words); err != nil {
			return copies, err
		}
	}
	c.plan.MTA.Commands = nil
	status := exec.CommandContext(ctx, mta.Program("postfix"), "-c", c.plan.MTA.Dir, "status")
	if status.Run() != nil {
		return copies, nil // it does not run
	}
	out, err := exec.CommandContext(ctx, mta.Program("postfix"), "-c", c.plan.MTA.Dir, "reload").CombinedOutput()
	if err != nil {
		return copies, &control.Error{Problem: fmt.Sprintf("postfix reload: %v: %s", err, strings.TrimSpace(string(out))), Remedy: "the old files are in " + strings.Join(copies, ", ")}
	}
	c.plan.MTA.Then = nil
	return copies, nil
}

// keepCopy copies a file beside itself, under a name that no file has.
func keepCopy(file string, now time.Time) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	to := file + ".before-signpost-" + now.UTC().Format("20060102T150405")
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	return to, errors.Join(err, f.Sync(), f.Close())
}
