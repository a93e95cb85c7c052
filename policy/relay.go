package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A network of one's own is hardly larger than this, unless it is private.
const (
	ownBits4 = 16
	ownBits6 = 32
)

// relay finds an open relay: a rule by which strangers get RELAYCLIENT, with
// which qmail-smtpd(8) takes mail for any domain.
func (l *linter) relay(s *Ruleset, i int) {
	rule := &s.rules[i]
	verdict, env := decodeRecord(appendRecord(nil, rule))
	relays := slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "RELAYCLIENT=") })
	if verdict != Allow || !relays {
		return
	}
	who := ""
	switch {
	case rule.Address == "":
		who = "everybody"
	case rule.Address == "=":
		who = "everybody with a host name"
	case s.isForStrangers(i):
		who = fmt.Sprintf("everybody in %q", rule.Address)
	default:
		return
	}
	l.say(rule.Line, OpenRelay, who+" may send mail to anybody through this server", "RELAYCLIENT in rules for networks of your own")
}

// isForStrangers tells whether a rule counts for more public addresses than
// one's own network has. Rules of one address each are not added up.
func (s *Ruleset) isForStrangers(i int) bool {
	var strangers uint64
	for key := range s.rules[i].Keys() {
		prefix, ok := networkOf(key)
		switch {
		case !ok || s.byKey[key] != i || isPrivate(prefix):
		case prefix.Addr().Is4():
			strangers += 1 << (32 - prefix.Bits())
		case prefix.Bits() < ownBits6:
			return true
		}
	}
	return strangers > 1<<(32-ownBits4)
}

// networkOf returns the network of a key, if it is one of more than one
// address.
func networkOf(key string) (netip.Prefix, bool) {
	if isBeginning(key) {
		return netip.PrefixFrom(netip.MustParseAddr(padded(key)), 8*strings.Count(key, ".")), true
	}
	return parsePrefixKey(key)
}

// isPrivate tells whether no address of a network is routed on the Internet.
func isPrivate(network netip.Prefix) bool {
	for _, private := range [...]string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"fc00::/7", "fe80::/10", "::1/128",
	} {
		block := netip.MustParsePrefix(private)
		if block.Bits() <= network.Bits() && block.Contains(network.Addr()) {
			return true
		}
	}
	return false
}
