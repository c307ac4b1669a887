package manual

import (
	_ "embed"
)

var (
	//go:embed completion.bash
	bashScript string
	//go:embed completion.zsh
	zshScript string
	//go:embed completion.fish
	fishScript string
)

// Shells are the shells that Script knows.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script returns the completion script of a shell, or "". The scripts ask `signpost __complete WORD …`, which prints a line
// for each candidate, with its meaning after a tab, and :files or :folders where such names may stand.
func Script(shell string) string {
	return map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[shell]
}
