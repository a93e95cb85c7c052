package policy

// Ruleset is the rules of one text, in memory. It is not changed after Parse
// and may be used by several goroutines.
type Ruleset struct {
	rules []Rule
	byKey map[string]int // index of the first rule of each key
}

func newRuleset(rules []Rule) *Ruleset {
	s := &Ruleset{rules: rules, byKey: make(map[string]int, len(rules))}
	for i := range rules {
		for key := range rules[i].Keys() {
			if _, taken := s.byKey[key]; !taken {
				s.byKey[key] = i
			}
		}
	}
	return s
}

// Rules returns the rules in the order of the text. They belong to the
// ruleset and must not be changed.
func (s *Ruleset) Rules() []Rule { return s.rules }

// Rule returns the rule that counts for a key: of several the first in the
// text. It returns nil when there is none.
func (s *Ruleset) Rule(key string) *Rule {
	i, found := s.byKey[key]
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
