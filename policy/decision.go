package policy

// Verdict says what becomes of a connection.
type Verdict uint8

// Deny is the zero value, so that a decision nobody made lets nobody in.
const (
	Deny Verdict = iota
	Allow
)

// String returns the word that tcprules uses.
func (v Verdict) String() string {
	if v == Allow {
		return "allow"
	}
	return "deny"
}

// Decision is what the rules say of one peer. It denies unless it says
// otherwise.
type Decision struct {
	Verdict Verdict

	// Matched tells whether a rule was found. Without one the verdict is
	// Allow, as in tcpserver(1).
	Matched bool

	// Rule is the address of the rule that was found, as AddressOf writes it.
	// The rule for everybody has the address "".
	Rule string

	// Env holds the variables that the rule sets, as NAME=VALUE, and those that
	// it unsets, as !NAME, in the order of the rule. Of two with one name the
	// later one counts.
	Env []string
}

// Finder looks a rule up by its key.
type Finder interface {
	// Lengths returns the lengths of the CIDR prefixes among the rules.
	Lengths() Lengths

	// Find returns the record stored under key, and whether there is one: an
	// empty record is a rule too. It does not keep key.
	Find(key []byte) (record []byte, found bool, err error)
}

// Decide judges a peer by the rules in f. The first of the peer's keys that
// has a rule decides, and nothing is inherited from the others; a peer without
// a rule is allowed. When f fails, the decision is Deny.
func Decide(p Peer, f Finder) (Decision, error) {
	for key := range Keys(p, f.Lengths()) {
		record, found, err := f.Find(key)
		if err != nil {
			return Decision{}, err
		}
		if found {
			verdict, env := decodeRecord(record)
			return Decision{Verdict: verdict, Matched: true, Rule: AddressOf(string(key)), Env: env}, nil
		}
	}
	return Decision{Verdict: Allow}, nil
}
