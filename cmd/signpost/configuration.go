package main

import "signpost/internal/daemon"

// defaultConfig is read where no --config is given and the file exists.
const defaultConfig = daemon.DefaultPath

// Config is the whole configuration, with what the commands about keys ask of it.
type Config struct{ daemon.Config }

// loadWhole reads the configuration with all that belongs to it.
func loadWhole(path string) (Config, string, error) {
	c, from, err := daemon.ReadWhole(path)
	return Config{c}, from, err
}
