package ucspi

import (
	"fmt"

	"github.com/miekg/dns"

	"ucspid/policy"
)

// maxWireName is the length of the longest domain name in a message (RFC
// 1035, 2.3.4).
const maxWireName = 255

// dotted returns a name from DNS as tcpserver(1) shows it: lower case, and
// each byte that is not a letter, a digit, "-" or "_" as \ooo in octal. It has
// at most four times maxWireName bytes. The name "" is unknown.
func dotted(name string) policy.Name {
	if name == "" {
		return policy.Name{}
	}
	var wire [maxWireName + 1]byte
	if _, err := dns.PackDomainName(name, wire[:], 0, nil, false); err != nil {
		return policy.Name{}
	}
	var text []byte
	for label := wire[:]; label[0] != 0; label = label[label[0]+1:] {
		if text != nil {
			text = append(text, '.')
		}
		for _, c := range label[1 : label[0]+1] {
			text = appendHostByte(text, c)
		}
	}
	if text == nil {
		return policy.Known(".")
	}
	return policy.Known(string(text))
}

func appendHostByte(text []byte, c byte) []byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return append(text, c+'a'-'A')
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		return append(text, c)
	}
	return fmt.Appendf(text, `\%03o`, c)
}
