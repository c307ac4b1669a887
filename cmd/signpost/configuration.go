package main

import "signpost/internal/daemon"

// defaultConfig is read where no --config is given and the file exists.
const defaultConfig = daemon.DefaultPath

// Config is the whole configuration, with the methods that the key commands need.
type Config struct{ daemon.Config }

// loadWhole reads the configuration with the entries of its tables.
func loadWhole(path string) (Config, string, error) {
	c, from, err := daemon.ReadWhole(path)
	return Config{c}, from, err
}
