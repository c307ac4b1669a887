package arc

import (
	"fmt"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// Chain is the ARC fields of one message.
type Chain struct {
	sets    []set // instance i at i-1; all complete unless broken
	highest int   // the highest instance that was read, at most MaxSets
	ended   bool  // the newest seal says cv=fail
	broken  string
}

// Options judge the times of signatures, and the keys; see dkim.Options.
type Options = dkim.Options

// Read reads the ARC fields of a header and checks the structure of the chain (§5.2, steps
// 1 to 3). It returns nil if there are none.
func Read(h message.Header, opt Options) *Chain {
	var count [kinds]int
	for _, f := range h {
		count[kindOf(f.Name)]++
	}
	most := max(count[sealField], count[messageField], count[resultsField])
	if most == 0 {
		return nil
	}
	c := new(Chain)
	if most > MaxSets {
		c.broken, c.highest = fmt.Sprintf("there are more than %d sets", MaxSets), MaxSets
		return c
	}
	c.sets = make([]set, most)
	for i, f := range h {
		if k := kindOf(f.Name); k != other {
			c.read(k, i, f.Value, opt)
		}
	}
	if c.ended = c.endsWithFail(); c.ended {
		c.broken = "the newest seal says cv=fail"
	}
	if c.broken == "" {
		c.broken = c.structure()
	}
	return c
}

// read takes one field. The first mistake counts.
func (c *Chain) read(k kind, at int, value string, opt Options) {
	var signature dkim.ARCSignature
	i := 0
	if k == resultsField {
		i, _ = splitResults(value)
	} else {
		signature = dkim.ParseARC(value, k == sealField, opt)
		i = instance(signature.Instance)
	}
	switch {
	case i == 0 && signature.Err != nil:
		c.fails(fieldNames[k] + " has no usable i=: " + signature.Err.Error())
		return
	case i == 0:
		c.fails(fieldNames[k] + " has no usable i=")
		return
	case i > MaxSets:
		c.highest = MaxSets // no other set may be added
		c.fails(fmt.Sprintf("i= of %s is more than %d", fieldNames[k], MaxSets))
		return
	}
	c.highest = max(c.highest, i)
	if i > len(c.sets) {
		// More instances than fields: at least one set is not complete. The newest seal is
		// kept all the same, since it may end the chain.
		c.fails("the instances have a gap")
		c.sets = append(c.sets, make([]set, i-len(c.sets))...)
	}
	if !c.sets[i-1].put(k, at, signature) {
		c.fails(fmt.Sprintf("there are two fields %s with i=%d", fieldNames[k], i))
	}
}

func (c *Chain) fails(why string) {
	if c.broken == "" {
		c.broken = why
	}
}

// endsWithFail is §5.2, step 2.
func (c *Chain) endsWithFail() bool {
	return c.highest > 0 && c.highest <= len(c.sets) && c.sets[c.highest-1].has[sealField] && message.EqualFold(c.sets[c.highest-1].seal.Status, string(Fail))
}

// structure is §5.2, step 3, and all of steps 4 and 6 that needs no key. It returns what
// is wrong, or "".
func (c *Chain) structure() string {
	c.sets = c.sets[:c.highest]
	for i := range c.sets {
		s := &c.sets[i]
		if missing := s.missing(); missing != other {
			return fmt.Sprintf("set %d has no %s", i+1, fieldNames[missing])
		}
		wanted := Pass
		if i == 0 {
			wanted = None
		}
		if !message.EqualFold(s.seal.Status, string(wanted)) {
			return fmt.Sprintf("cv= of seal %d is not %s", i+1, wanted)
		}
		if s.seal.Err != nil {
			return fmt.Sprintf("seal %d: %v", i+1, s.seal.Err)
		}
	}
	if newest := &c.sets[c.highest-1]; newest.message.Err != nil {
		return fmt.Sprintf("message signature %d: %v", c.highest, newest.message.Err)
	}
	return ""
}

// Sets returns how many sets the chain has, as far as it could be read.
func (c *Chain) Sets() int { return c.highest }
