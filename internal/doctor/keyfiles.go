package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"signpost/internal/daemon"
	"signpost/internal/shell"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// keyName is a key in sentences and as a subject.
func keyName(ref keys.Ref) string { return ref.Selector + " of " + ref.Domain }

// listedKeys are the keys that the configuration lists, of the domains that are looked at and of
// the folder "*".
func (h *Host) listedKeys() []lifecycle.Status {
	var list []lifecycle.Status
	for _, k := range h.Keys {
		if k.Listed && (k.Ref.Domain == keys.AnyDomain || h.looksAt(k.Ref.Domain)) {
			list = append(list, k)
		}
	}
	return list
}

// lookAtKeyFiles checks that the daemon can read each listed key, and that no other user can.
func lookAtKeyFiles(ctx context.Context, h *Host) {
	denied := 0
	each(ctx, h, "key files", h.listedKeys(), func(_ context.Context, k lifecycle.Status) {
		switch {
		case k.Key != nil:
			h.lookAtAccess(k)
		case errors.Is(k.Err, fs.ErrPermission) && !root():
			h.mu.Lock()
			denied++
			h.mu.Unlock()
		case errors.Is(k.Err, keys.ErrExposed):
			h.findExposed(k, h.keyPath(k.Ref), k.Err.Error())
		case tooWeak(k.Err):
			h.add(Finding{ID: "key.weak", Severity: Critical, Subject: keyName(k.Ref), Finding: k.Err.Error(), Consequence: "the key is not loaded: mail of the domain leaves unsigned, or is deferred (signer.on_error)", Remedy: h.rotate(k.Ref)})
		default:
			h.find("key.unreadable", keyName(k.Ref), k.Err.Error(), h.unreadableRemedy(k))
		}
	})
	if denied > 0 {
		h.unseen("the files of keys", fmt.Sprintf("this user may not read %d of them, below %s: run this as root", denied, h.Config.Keys.Dir))
	}
}

// tooWeak reports whether a key was refused for its length.
func tooWeak(err error) bool {
	var w interface{ Weak() bool }
	return errors.As(err, &w) && w.Weak()
}

// keyPath is where the key's file should be.
func (h *Host) keyPath(ref keys.Ref) string {
	return fmt.Sprintf("%s/%s/%s.pem", h.Config.Keys.Dir, ref.Domain, ref.Selector)
}

func (h *Host) unreadableRemedy(k lifecycle.Status) Remedy {
	path := h.keyPath(k.Ref)
	if errors.Is(k.Err, fs.ErrNotExist) {
		return Remedy{Text: "Put the file back from a copy. If DNS has no record of this key yet, make a new one:",
			Lines: []string{command([]string{"signpost", "keys", "generate", "--dir", h.Config.Keys.Dir, k.Ref.Domain, k.Ref.Selector})}}
	}
	return Remedy{Text: fmt.Sprintf("Put the key's PEM file back at %s, and see whether it can be read:", path),
		Lines: []string{"signpost check-config " + shell.Quote(h.configPath())}}
}

// defaultConfigPath is where commands look for the configuration by themselves.
const defaultConfigPath = daemon.DefaultPath

// configPath is the configuration file for commands.
func (h *Host) configPath() string {
	if h.ConfigPath == "" {
		return defaultConfigPath
	}
	return h.ConfigPath
}

// signpost is a command of ours with the configuration that was looked at.
func (h *Host) signpost(words ...string) string {
	if h.ConfigPath != "" && h.ConfigPath != defaultConfigPath {
		words = append(words, "--config", h.ConfigPath)
	}
	return command(append([]string{"signpost"}, words...))
}

// lookAtAccess checks the modes of a key that this process can read.
func (h *Host) lookAtAccess(k lifecycle.Status) {
	if len(h.Config.Keys.Exposures(k.Key.Path)) > 0 {
		h.findExposed(k, k.Key.Path, "")
	}
	why := h.Config.Keys.DaemonUnreadable(k.Key.Path)
	if why == "" {
		return
	}
	what, mend, _ := strings.Cut(why, "; ")
	h.find("key.unreadable", keyName(k.Ref), fmt.Sprintf("%s: %s", k.Key.Path, what), Remedy{Text: upper(mend) + "."})
}

// findExposed reports who else may read or replace a key. why is the reason of its refusal, "" if
// it is loaded nevertheless.
func (h *Host) findExposed(k lifecycle.Status, path, why string) {
	var faults, advice []string
	var commands [][]string
	for _, e := range h.Config.Keys.Exposures(path) {
		faults = append(faults, e.Fault)
		if e.Mode == "" {
			advice = append(advice, upper(e.Advice)+".")
			continue
		}
		if c := []string{"chmod", e.Mode, e.Path}; !slices.ContainsFunc(commands, func(o []string) bool { return slices.Equal(o, c) }) {
			commands = append(commands, c)
		}
	}
	if len(faults) == 0 {
		faults = []string{why}
	}
	advice = append(advice, fmt.Sprintf("Others may know this key: after that, replace it with %s. Close it:", h.signpost("keys", "rotate", k.Ref.Domain)))
	h.find("key.permissions", keyName(k.Ref), path+": "+strings.Join(faults, "; "), Remedy{Text: strings.Join(advice, " "), Commands: commands})
}

// upper begins a text with a capital letter.
func upper(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
