package keys

// fault is the error of loading one key.
type fault struct {
	ref Ref
	err error
}

// lose notes a key that could not be loaded, if cfg.MayFail allows that. Else it returns the
// error.
func (s *Store) lose(cfg Config, f fault) error {
	ref, err := f.ref.Canonical()
	if err != nil || cfg.MayFail == nil || !cfg.MayFail(ref) {
		return f.err
	}
	if s.lost == nil {
		s.lost = map[Ref]error{}
	}
	if s.lost[ref] == nil {
		s.lost[ref] = f.err
		s.lostOrder = append(s.lostOrder, ref)
	}
	return nil
}

// Lost returns why a key that the configuration lists could not be loaded; nil for any
// other. The ref is canonical, as those of Refs.
func (s *Store) Lost(ref Ref) error { return s.lost[ref] }

// Losses returns the reason for each lost key, one on each line, for the first fifty.
func (s *Store) Losses() []string {
	var all faults
	for _, ref := range s.lostOrder {
		all.add(s.lost[ref])
	}
	return all.lines()
}
