package proxy

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// header2 builds a header of version 2: the bytes of the command and the
// family, and what follows the length.
func header2(command, family byte, rest ...[]byte) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	all := slices.Concat(rest...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	return string(append(b, all...))
}

// field builds a field (TLV) of version 2.
func field(kind byte, value string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))
	return append(b, value...)
}

func ends(source, destination string) Header {
	return Header{Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

// Headers as HAProxy 2.6 wrote them (send-proxy-v2 proxy-v2-options crc32c):
// for a client, and for its own health check.
const (
	haproxy4     = "\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x13\x7f\x00\x05\x01\x7f\x00\x00\x01\x87\x074\xd5\x03\x00\x04\x60a?\xa3"
	haproxyLocal = "\r\n\r\n\x00\r\nQUIT\n \x00\x00\x07\x03\x00\x04\xa9\xb8\x7e\x8f"
)

// The bytes of two ends.
var (
	ends4    = []byte{192, 0, 2, 7, 198, 51, 100, 25, 0x30, 0x39, 0, 25}
	ends6    = slices.Concat(address6(0x07), address6(0x25), []byte{0x30, 0x39, 0, 25})
	endsMap  = slices.Concat(mapped(192, 0, 2, 7), mapped(198, 51, 100, 25), []byte{0x30, 0x39, 0, 25})
	endsUnix = make([]byte, 216)
)

func address6(last byte) []byte {
	return []byte{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}
}

func mapped(ip ...byte) []byte {
	return append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, ip...)
}

// valid are headers, and what they say.
var valid = map[string]struct {
	wire string
	want Header
}{
	"1, IPv4":                           {"PROXY TCP4 192.0.2.7 198.51.100.25 12345 25\r\n", ends("192.0.2.7:12345", "198.51.100.25:25")},
	"1, IPv6":                           {"PROXY TCP6 2001:db8::7 2001:db8::25 12345 25\r\n", ends("[2001:db8::7]:12345", "[2001:db8::25]:25")},
	"1, mapped":                         {"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6419 12345 25\r\n", ends("192.0.2.7:12345", "198.51.100.25:25")},
	"1, unknown":                        {"PROXY UNKNOWN\r\n", Header{}},
	"1, unknown, longest":               {"PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", Header{}},
	"2, IPv4":                           {header2(0x21, 0x11, ends4), ends("192.0.2.7:12345", "198.51.100.25:25")},
	"2, IPv6":                           {header2(0x21, 0x21, ends6), ends("[2001:db8::7]:12345", "[2001:db8::25]:25")},
	"2, mapped":                         {header2(0x21, 0x21, endsMap), ends("192.0.2.7:12345", "198.51.100.25:25")},
	"2, local":                          {header2(0x20, 0), Header{}},
	"2, local with ends":                {header2(0x20, 0x11, ends4), Header{}},
	"2, local with too little for ends": {header2(0x20, 0x21, ends4), Header{}},
	"2, local with rubbish":             {header2(0x20, 0x11, ends4, []byte{3, 0xff, 0xff}), Header{}},
	"2, fields":                         {header2(0x21, 0x11, ends4, field(0x01, "h2"), field(0x04, "\x00\x00"), field(0xe5, "")), ends("192.0.2.7:12345", "198.51.100.25:25")},
	"2, longest":                        {header2(0x21, 0x11, ends4, field(0x28, strings.Repeat("c", 4096-12-3))), ends("192.0.2.7:12345", "198.51.100.25:25")},
	"2, checksum":                       {haproxy4, ends("127.0.5.1:34567", "127.0.0.1:13525")},
	"2, checksum, local":                {haproxyLocal, Header{}},
}

func TestValidHeaders(t *testing.T) {
	for name, test := range valid {
		n, err := length([]byte(test.wire + "220 "))
		if err != nil || n != len(test.wire) {
			t.Errorf("%s: its length is %d (%v), not %d", name, n, err, len(test.wire))
			continue
		}
		if got, err := parse([]byte(test.wire)); err != nil || got != test.want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestBeginningOfAHeaderIsWaitedOn(t *testing.T) {
	for name, test := range valid {
		for i := range test.wire {
			if n, err := length([]byte(test.wire[:i])); err != nil || n != 0 && n != len(test.wire) {
				t.Errorf("%s: of %d bytes the length is %d, %v", name, i, n, err)
			}
		}
	}
}

func TestInvalidHeaders(t *testing.T) {
	flipped := []byte(haproxy4)
	flipped[fixed2] ^= 1
	localised := []byte(haproxy4)
	localised[12] ^= 1
	for name, test := range map[string]struct {
		wire string
		want error
	}{
		"SMTP":                  {"EHLO client.example\r\n", errMissing},
		"almost version 1":      {"PROXX", errMissing},
		"almost version 2":      {"\r\n\r\n\x00\r\nQUIT\r", errMissing},
		"a tab":                 {"PROXY\tTCP4 192.0.2.7 198.51.100.25 12345 25\r\n", errMissing},
		"1, no end":             {"PROXY UNKNOWN " + strings.Repeat("f", 93), errTooLong},
		"1, no CR":              {"PROXY TCP4 192.0.2.7 198.51.100.25 12345 25\n", errMalformed},
		"1, no addresses":       {"PROXY TCP4\r\n", errMalformed},
		"1, UDP":                {"PROXY UDP4 192.0.2.7 198.51.100.25 12345 25\r\n", errMalformed},
		"1, wrong family":       {"PROXY TCP4 2001:db8::7 2001:db8::25 12345 25\r\n", errMalformed},
		"1, an octet too large": {"PROXY TCP4 192.0.2.256 198.51.100.25 12345 25\r\n", errMalformed},
		"1, octal":              {"PROXY TCP4 192.0.02.7 198.51.100.25 12345 25\r\n", errMalformed},
		"1, a zone":             {"PROXY TCP6 fe80::1%eth0 2001:db8::25 12345 25\r\n", errMalformed},
		"1, a large port":       {"PROXY TCP4 192.0.2.7 198.51.100.25 65536 25\r\n", errMalformed},
		"1, a signed port":      {"PROXY TCP4 192.0.2.7 198.51.100.25 12345 +25\r\n", errMalformed},
		"1, two blanks":         {"PROXY TCP4  192.0.2.7 198.51.100.25 12345 25\r\n", errMalformed},
		"1, more":               {"PROXY TCP4 192.0.2.7 198.51.100.25 12345 25 x\r\n", errMalformed},
		"2, too long":           {header2(0x21, 0x11, make([]byte, 4097)), errTooLong},
		"2, version 3":          {header2(0x31, 0x11, ends4), errMalformed},
		"2, command":            {header2(0x22, 0x11, ends4), errMalformed},
		"2, family":             {header2(0x21, 0x41, ends4), errMalformed},
		"2, transport":          {header2(0x21, 0x13, ends4), errMalformed},
		"2, no family":          {header2(0x21, 0x00), errMalformed},
		"2, ends too short":     {header2(0x21, 0x11, ends4[1:]), errMalformed},
		"2, half a field":       {header2(0x21, 0x11, ends4, []byte{1, 0}), errMalformed},
		"2, a field too long":   {header2(0x21, 0x11, ends4, []byte{1, 0, 1}), errMalformed},
		"2, UDP":                {header2(0x21, 0x12, ends4), errProtocol},
		"2, Unix":               {header2(0x21, 0x31, endsUnix), errProtocol},
		"2, short checksum":     {header2(0x21, 0x11, ends4, field(0x03, "123")), errMalformed},
		"2, wrong checksum":     {header2(0x21, 0x11, ends4, field(0x03, "1234")), errChecksum},
		"2, a bit flipped":      {string(flipped), errChecksum},
		"2, the command's bit":  {string(localised), errChecksum},
	} {
		if _, got := read(test.wire); !errors.Is(got, test.want) {
			t.Errorf("%s: %v, not %v", name, got, test.want)
		}
	}
}

// read reads the header at the beginning of text.
func read(text string) (Header, error) {
	n, err := length([]byte(text))
	if err != nil {
		return Header{}, err
	}
	return parse([]byte(text[:n]))
}
