// Package manual makes the reference documents from the two places where their facts stand: the table of commands with
// their help texts, and config.example.yaml beside the types of the configuration. It makes manual pages, the JSON Schema
// of the configuration, and completion for shells.
package manual
