// Package why holds the reasons why parts of four libraries are not used (see
// "Libraries" in ARCHITECTURE.md), as tests. Each test shows that the fault is
// still there, and fails when upstream has mended it: then the decision may be
// reconsidered. `make why` runs them; they stand behind the build tag `why`, so
// that a new release of a library does not break `make test`.
package why
