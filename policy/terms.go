package policy

import (
	"strconv"
	"strings"
	"time"
)

// Terms are the limits that count for a peer: those of the server, as far as
// the peer's rule says nothing else. The zero Terms have no limit.
type Terms struct {
	Host, Network         Max // connections at once
	HostRate, NetworkRate Rate
	Load                  Max // the load average of a minute, times 100

	// Trusted peers may take the reserved places. A rule makes a peer trusted
	// by setting UCSPID_TRUSTED, or the variable TrustBy.
	Trusted bool
	TrustBy string

	messages [2]messages // of the rule, and of the server
}

// trusted is the variable by which a rule makes a peer trusted.
const trusted = "UCSPID_TRUSTED"

// messages are what a refused peer is told, by the limit that refuses it.
type messages struct{ any, load, host, network Name }

// OfServer returns the terms with what variables of the server's own
// environment say, NAME=VALUE each. hostMessage is for those that Host
// refuses, where no variable has a message.
func (t Terms) OfServer(env []string, hostMessage Name) Terms {
	for _, item := range env {
		t.apply(item, &t.messages[1])
	}
	t.Trusted = false // that is for a rule to say
	if said := &t.messages[1]; said.host == (Name{}) && said.any == (Name{}) {
		said.host = hostMessage
	}
	return t
}

// For returns the terms for a peer of whom the rules say this.
func (t Terms) For(d Decision) Terms {
	for _, item := range d.Env {
		t.apply(item, &t.messages[0])
	}
	return t
}

// apply takes one variable into account, or that it is unset.
func (t *Terms) apply(item string, said *messages) {
	name, value, set := cutItem(item)
	switch name {
	case "MAXCONNIP":
		t.Host = maxOf(value, set)
	case "MAXPERIP":
		t.Host = nonzero(maxOf(value, set))
	case "MAXCONNC":
		t.Network = maxOf(value, set)
	case "MAXLOAD":
		t.Load = nonzero(maxOf(value, set))
	case "MAXRATEIP":
		t.HostRate = rateOf(value, set)
	case "MAXRATEC":
		t.NetworkRate = rateOf(value, set)
	case "DIEMSG":
		said.any = messageOf(value, set)
	case "DIEMSG_MAXLOAD":
		said.load = messageOf(value, set)
	case "DIEMSG_MAXCONNIP":
		said.host = messageOf(value, set)
	case "DIEMSG_MAXCONNC":
		said.network = messageOf(value, set)
	}
	if set && (name == trusted || name == t.TrustBy && name != "") {
		t.Trusted = true
	}
}

// cutItem takes an item of a decision's Env apart.
func cutItem(item string) (name, value string, set bool) {
	if name, unset := Unsets(item); unset {
		return name, "", false
	}
	return strings.Cut(item, "=")
}

// maxOf reads a limit as the limits patch does: the digits at the beginning
// count, and no digits are 0.
func maxOf(value string, set bool) Max {
	digits := len(value) - len(strings.TrimLeft(value, "0123456789"))
	n, err := strconv.Atoi(value[:digits])
	switch {
	case !set:
		return Max{}
	case digits == 0:
		return AtMost(0)
	case err != nil: // more than an int holds
		return Max{}
	}
	return AtMost(n)
}

// nonzero returns a limit of which 0 means none.
func nonzero(m Max) Max {
	if m.n == 0 {
		return Max{}
	}
	return m
}

// rateOf reads a rate. What is none lets nobody in.
func rateOf(value string, set bool) Rate {
	rate, err := ParseRate(value)
	switch {
	case !set:
		return Rate{}
	case err != nil:
		return Rate{Per: time.Second}
	}
	return rate
}

// messageOf returns a message. To unset it is one, too: nothing is said.
func messageOf(value string, set bool) Name {
	if !set {
		return Known("")
	}
	return Known(value)
}

// Message returns what a peer is to be told that a limit refuses, or where
// there is no refusal a rule. Where nobody wrote a message, it is unknown.
func (t *Terms) Message(r *Refusal) Name {
	for _, said := range t.messages {
		for _, message := range [...]Name{said.special(r), said.any} {
			if message != (Name{}) {
				return message
			}
		}
	}
	return Name{}
}

// special returns the message that is for this refusal alone.
func (m *messages) special(r *Refusal) Name {
	switch {
	case r == nil:
	case r.Reason == PerHost:
		return m.host
	case r.Reason == PerNetwork:
		return m.network
	case r.Reason == Overload:
		return m.load
	}
	return Name{}
}
