package policy

// Ruleset is the rules of one text, in memory. It is not changed after Parse
// and may be used by several goroutines.
type Ruleset struct {
	rules   []Rule
	byKey   map[string]int // index of the first rule of each key
	lengths Lengths
}

func newRuleset(rules []Rule) *Ruleset {
	s := &Ruleset{rules: rules, byKey: make(map[string]int, len(rules))}
	for i := range rules {
		for key := range rules[i].Keys() {
			if _, taken := s.byKey[key]; !taken {
				s.byKey[key] = i
				s.lengths.note([]byte(key))
			}
		}
	}
	return s
}

// Rules returns the rules in the order of the text. They belong to the
// ruleset and must not be changed.
func (s *Ruleset) Rules() []Rule { return s.rules }

// Lengths makes a Ruleset a Finder.
func (s *Ruleset) Lengths() Lengths { return s.lengths }

// Rule returns the rule that counts for an address, such as Decision.Rule: of
// several the first in the text. It returns nil when there is none.
func (s *Ruleset) Rule(address string) *Rule {
	i, found := s.byKey[address]
	if key, span, err := parseAddress(address); err == nil && span == nil {
		i, found = s.byKey[key]
	}
	if !found {
		return nil
	}
	return &s.rules[i]
}

// Find makes a Ruleset a Finder: a text and the cdb made from it decide alike.
func (s *Ruleset) Find(key []byte) ([]byte, bool, error) {
	i, found := s.byKey[string(key)]
	if !found {
		return nil, false, nil
	}
	return appendRecord(nil, &s.rules[i]), true, nil
}
