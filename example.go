// Package signpost has what stands at the root of the project and is part of the program.
package signpost

import _ "embed"

// ExampleConfig is config.example.yaml: every key of the configuration with its default and its documentation. The
// manual page signpost.yaml(5) and the JSON Schema take their words from it.
//
//go:embed config.example.yaml
var ExampleConfig string
