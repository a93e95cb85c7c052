package policy

import "net/netip"

// Peer is what is known of the other end of a connection when it is judged.
type Peer struct {
	IP   netip.Addr // TCPREMOTEIP
	Host Name       // TCPREMOTEHOST
	Info Name       // TCPREMOTEINFO
}

// Name is a name that somebody else gave, by DNS or ident: there may be none.
// A name that is known may still be empty, and then counts as known in the
// search, as it does in tcpserver(1). The zero Name is unknown.
type Name struct {
	text  string
	known bool
}

// Known returns the name with that text.
func Known(text string) Name { return Name{text: text, known: true} }

// Text returns the name, "" when it is unknown, and whether it is known.
func (n Name) Text() (text string, known bool) { return n.text, n.known }

// MarshalText returns the text. A name that is unknown has none, and is to be
// left out (omitzero of package json).
func (n Name) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// UnmarshalText makes it the name with that text.
func (n *Name) UnmarshalText(text []byte) error {
	*n = Known(string(text))
	return nil
}
