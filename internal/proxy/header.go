// Package proxy receives the header that a balancer writes before the bytes
// of the client for whom it connects: the PROXY protocol, version 1 or 2, as
// HAProxy's proxy-protocol.txt has it.
//
//	header, err := proxy.Receive(fd, timeout)
//
// Not a byte behind the header is read: they are for a program that inherits
// the connection. Whom to believe is the caller's to know, for a header is a
// mere claim.
package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Header says between which two ends the client's own connection is. The zero
// Header says nothing of them (LOCAL, UNKNOWN): the balancer speaks for itself,
// as in a health check, or for a client that it cannot name. IPv4-mapped
// addresses are IPv4.
type Header struct {
	Source, Destination netip.AddrPort
}

// Why bytes are no header that counts.
var (
	errMissing   = errors.New("missing")
	errTooLong   = errors.New("too long")
	errMalformed = errors.New("malformed")
	errProtocol  = errors.New("the client does not come by TCP")
)

// What the two versions begin with, and how long a header may be. In version 2
// the bound is ours: 4 KB have room for all that balancers add, a certificate of
// the client too.
const (
	signature1 = "PROXY "
	maxLength1 = 107
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	fixed2     = 16 // up to the length of the rest, the last two bytes
	maxLength2 = fixed2 + 4096
)

// length returns the length of the header that b begins with, 0 as long as
// there is too little of it to tell.
func length(b []byte) (int, error) {
	switch {
	case bytes.HasPrefix(b, []byte(signature1)):
		if end := bytes.IndexByte(b[:min(len(b), maxLength1)], '\n'); end >= 0 {
			return end + 1, nil
		}
		if len(b) >= maxLength1 {
			return 0, errTooLong
		}
		return 0, nil
	case bytes.HasPrefix(b, []byte(signature2)):
		if len(b) < fixed2 {
			return 0, nil
		}
		n := fixed2 + int(binary.BigEndian.Uint16(b[fixed2-2:]))
		if n > maxLength2 {
			return 0, errTooLong
		}
		return n, nil
	case bytes.HasPrefix([]byte(signature1), b), bytes.HasPrefix([]byte(signature2), b):
		return 0, nil
	}
	return 0, errMissing
}

// parse reads a header that is complete, and nothing else is in b.
func parse(b []byte) (Header, error) {
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return Header{}, errMalformed
	}
	if h.Version == 2 {
		err = check(b)
	}
	switch {
	case err == errChecksum:
		return Header{}, err
	case h.Command.IsLocal(): // whatever else it says does not count
		return Header{}, nil
	case err != nil:
		return Header{}, err
	}
	source, destination, ok := h.TCPAddrs()
	if !ok {
		return Header{}, errProtocol
	}
	return Header{Source: end(source), Destination: end(destination)}, nil
}

func end(a *net.TCPAddr) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.IP) // the parser has made it
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port))
}
