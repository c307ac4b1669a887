//go:build !amd64

package dkim

var processors = []struct {
	name string
	use  func(test func())
}{{"this processor", func(test func()) { test() }}}
