package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// never returns the finding of an address that no search comes to.
func never(trap Trap, address, why, meant string) *Finding {
	return &Finding{Trap: trap, Does: fmt.Sprintf("%q is never found: %s", address, why), Meant: meant}
}

// anAddress is what was meant when nothing better is known.
const (
	anAddress  = `an IP address, a "=" and a host name, or nothing for everybody`
	besideInfo = "a whole IP address, or =host.name, behind the @"
)

// stray returns the finding of an address that is not that of any peer.
func stray(address string) *Finding {
	info, place := cutInfo(address)
	name, isHost := strings.CutPrefix(place, "=")
	switch {
	case strings.ContainsAny(address, " \t"):
		return never(Blank, address, "the blank is part of it", blankMeant(address))
	case hasControl(address):
		return &Finding{Trap: Control, Does: "there is one in the address " + quote(address), Meant: quote(withoutControl(address))}
	case info == "@":
		return never(Address, address, "an info that is empty counts as unknown", quote(place))
	case isHost:
		return strayHost(info, name)
	case info != "":
		return strayInfo(info, place)
	}
	return strayIP(address)
}

func blankMeant(address string) string {
	trimmed := strings.Trim(address, " \t")
	if strings.ContainsAny(trimmed, " \t") {
		return "one address without blanks"
	}
	return quote(trimmed)
}

// isControl tells whether c is a control byte other than a tab.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

func hasControl(text string) bool { return strings.ContainsFunc(text, isControl) }

func withoutControl(text string) string {
	return strings.Join(strings.FieldsFunc(text, isControl), "")
}

// strayHost returns the finding of a host name that no peer has. Names are as
// servers make them of an answer from DNS, and never empty.
func strayHost(info, name string) *Finding {
	address := info + "=" + name
	switch lower := strings.ToLower(name); {
	case name == "" && info == "" || name == ".":
		return nil
	case info != "" && (name == "" || name[0] == '.'):
		return never(Address, address, "beside an info a host name is whole", quote(info+"=host.name"))
	case strings.Contains(name, "*"):
		return never(Address, address, "a * stands for nothing but itself", quote(info+"="+domainBehindStars(name)))
	case lower != name:
		return never(Address, address, "host names are in lower case", quote(info+"="+lower))
	case isNumeric(name):
		return &Finding{Trap: Address, Does: quote(address) + " is for a host name, not for an IP address", Meant: quote(info + name)}
	case strings.HasSuffix(name, "."):
		return never(Address, address, "host names have no dot at the end", quote(info+"="+strings.TrimRight(name, ".")))
	case strings.ContainsFunc(name, isForeignToHosts):
		return never(Address, address, "host names are of letters, digits, - and _", "a name that is in DNS")
	}
	return nil
}

// isNumeric tells whether an IPv4 address or network is more likely meant than
// a host name.
func isNumeric(name string) bool { return strings.Trim(name, "0123456789./") == "" }

// isForeignToHosts tells whether a byte is never in the text of a host name.
// Others than those of common names are there as \ooo.
func isForeignToHosts(c rune) bool {
	return !strings.ContainsRune(`abcdefghijklmnopqrstuvwxyz0123456789-_.\`, c)
}

func domainBehindStars(name string) string {
	domain := strings.TrimLeft(name[strings.LastIndexByte(name, '*')+1:], ".")
	if domain == "" {
		return ""
	}
	return "." + strings.ToLower(domain)
}

// strayInfo returns the finding of what is no address beside an info.
func strayInfo(info, place string) *Finding {
	trap, meant := Address, besideInfo
	_, err := netip.ParseAddr(place)
	switch {
	case err == nil:
		return nil
	case strings.Contains(place, "-") && isNumeric(strings.ReplaceAll(place, "-", "")):
		trap, meant = Range, "a rule for each address"
	case looksLikeHost(place):
		meant = quote(info + "=" + strings.ToLower(place))
	}
	return never(trap, info+place, "beside an info an address is whole, without ranges and prefixes", meant)
}

// looksLikeHost tells whether text is a host name without its "=".
func looksLikeHost(text string) bool {
	lower := strings.ToLower(text)
	return strings.ContainsAny(lower, "abcdefghijklmnopqrstuvwxyz") && !strings.ContainsFunc(lower, isForeignToHosts)
}

// strayIP returns the finding of what is no IP address, range or prefix.
func strayIP(address string) *Finding {
	ip, err := netip.ParseAddr(address)
	switch span, _ := parseSpan(address); {
	case span != nil:
		return strayRange(address, span)
	case err == nil && ip.IsUnspecified():
		return never(Address, address, "it is nobody's", `"", which is everybody's`)
	case address == "" || err == nil || isBeginning(address) || isPrefix(address):
		return nil
	case strings.Contains(address, "*"):
		return never(Address, address, "a * stands for nothing but itself", starMeant(address))
	case isNumeric(address):
		return strayNumbers(address)
	case slices.Contains([]string{"all", "any", "default"}, strings.ToLower(address)):
		return never(Address, address, "it is no word of this language", `"", which is everybody's address`)
	case looksLikeHost(address):
		return never(Address, address, "a host name stands behind a =", quote("="+strings.ToLower(address)))
	case strings.Contains(address, ","):
		return never(Address, address, "a rule has one address", "a rule for each")
	}
	return never(Address, address, "it is neither an IP address nor a host name", anAddress)
}

// isBeginning tells whether text is the beginning of IPv4 addresses, with its
// dot.
func isBeginning(text string) bool {
	_, err := netip.ParseAddr(padded(text))
	return err == nil && strings.HasSuffix(text, ".") && strings.Count(text, ".") <= 3
}

// isPrefix tells whether the key of an address is that of a CIDR prefix.
func isPrefix(address string) bool {
	key, _, err := parseAddress(address)
	_, ok := parsePrefixKey(key)
	return ok && err == nil
}

func starMeant(address string) string {
	first, last := strings.IndexByte(address, '*'), strings.LastIndexByte(address, '*')
	head, tail := address[:first], address[last+1:]
	switch {
	case head == "" && tail == "":
		return `"", which is everybody's address`
	case isBeginning(head) && tail == "":
		return quote(head)
	case head == "" && looksLikeHost(tail):
		return quote("=" + domainBehindStars(address))
	}
	return anAddress
}

// strayNumbers returns the finding of digits and dots that are neither an IPv4
// address nor its beginning.
func strayNumbers(address string) *Finding {
	whole := strings.TrimSuffix(address, ".")
	_, err := netip.ParseAddr(whole)
	switch plain := withoutZeros(address); {
	case isBeginning(address + "."):
		return never(Address, address, "the dot at its end is missing", quote(address+"."))
	case err == nil:
		return never(Address, address, "a whole address has no dot at its end", quote(whole))
	case plain != address && strayIP(plain) == nil:
		return never(Address, address, "its numbers have zeros before them", quote(plain))
	}
	return never(Address, address, "it is no IP address", anAddress)
}

// withoutZeros returns numbers without leading zeros.
func withoutZeros(address string) string {
	numbers := strings.Split(address, ".")
	for i, number := range numbers {
		if plain := strings.TrimLeft(number, "0"); plain != "" || number == "" {
			numbers[i] = plain
		} else {
			numbers[i] = "0"
		}
	}
	return strings.Join(numbers, ".")
}

// strayRange returns the finding of a range without peers.
func strayRange(address string, s *span) *Finding {
	from, to, _ := strings.Cut(address, "-")
	_, top := s.ends(address)
	key := s.with(s.bottom)
	_, err := netip.ParseAddr(key)
	switch {
	case isIP4(from) && isIP4(to):
		return never(Range, address, "a range is of one number, not of addresses", fromToMeant(from, to))
	case s.bottom > 255:
		return never(Range, address, "it begins beyond 255", "numbers from 0 to 255")
	case s.bottom > s.top && top == "":
		return never(Range, address, "its missing end counts as 0", quote(s.of(s.bottom, 255)))
	case s.bottom > s.top:
		return never(Range, address, "it ends before it begins", quote(s.of(s.top, s.bottom)))
	case strings.Contains(s.after, "-"):
		return never(Range, address, "only the first range is one", "one range in a rule")
	case isBeginning(key + "."):
		return never(Range, address, "the dot at its end is missing", quote(address+"."))
	case err == nil || isBeginning(key):
		return nil
	}
	return never(Range, address, fmt.Sprintf("%q is no IP address", key), anAddress)
}

// ends returns the two numbers of a range as they are written.
func (s *span) ends(address string) (bottom, top string) {
	bottom, top, _ = strings.Cut(address[len(s.before):len(address)-len(s.after)], "-")
	return bottom, top
}

// of returns the same range with other numbers.
func (s *span) of(bottom, top uint64) string {
	return fmt.Sprintf("%s%d-%d%s", s.before, bottom, top, s.after)
}

func isIP4(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is4()
}

func fromToMeant(from, to string) string {
	dot := strings.LastIndexByte(from, '.')
	if last, same := strings.CutPrefix(to, from[:dot+1]); same {
		return quote(from + "-" + last)
	}
	return "a prefix such as 10.0.0.0/8"
}

// numbers finds numbers that do not count as they are written.
func (l *linter) numbers(rule *Rule) {
	address := rule.Address
	if s, _ := parseSpan(address); s != nil {
		bottom, top := s.ends(address)
		if !isWritten(s.bottom, bottom) || !isWritten(s.top, top) {
			counts := quote(s.of(s.bottom, s.top))
			l.say(rule.Line, Range, fmt.Sprintf("%q counts as %s", address, counts), counts+", or other numbers")
		}
		return
	}
	prefix, ip := hostBits(address)
	if ip.IsValid() {
		does := fmt.Sprintf("%q counts as %q", address, prefix)
		l.say(rule.Line, HostBits, does, fmt.Sprintf("%q or %q", prefix, ip))
	}
}

// isWritten tells whether text is the number n.
func isWritten(n uint64, text string) bool {
	written, err := strconv.ParseUint(text, 10, 64)
	return err == nil && written == n
}

// hostBits returns a prefix and the address that it was written with, if that
// has bits beyond the prefix.
func hostBits(address string) (netip.Prefix, netip.Addr) {
	text, _, hasLength := strings.Cut(address, "/")
	if !strings.Contains(text, ":") {
		text = padded(text)
	}
	ip, err := netip.ParseAddr(text)
	key, _, _ := parseAddress(address)
	prefix, ok := parsePrefixKey(key)
	if !hasLength || !ok || err != nil || ip.Unmap() == prefix.Addr() {
		return netip.Prefix{}, netip.Addr{}
	}
	return prefix, ip.Unmap()
}
