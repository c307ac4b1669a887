package dkim

// processors are the kinds that this processor can imitate.
var processors = []struct {
	name string
	use  func(test func())
}{
	{"this processor", func(test func()) { test() }},
	{"without AVX-512", func(test func()) { without(test, &hasVBMI2) }},
	{"without vectors", func(test func()) { without(test, &hasVBMI2, &hasAVX2) }},
}

func without(test func(), features ...*bool) {
	for _, has := range features {
		defer func(had bool) { *has = had }(*has)
		*has = false
	}
	test()
}
