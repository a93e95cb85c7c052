package ucspi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"ucspid/policy"
)

const (
	identPort     = 113
	maxIdentInfo  = 257  // bytes of an answer that count, as in tcpserver(1)
	maxIdentReply = 1000 // bytes of an answer that are read at all (RFC 1413)
)

// ident asks the peer's host who opened the connection (RFC 1413).
func ident(ctx context.Context, local, remote netip.AddrPort, timeout time.Duration) policy.Name {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 0))}
	server := netip.AddrPortFrom(remote.Addr(), identPort)
	conn, err := dialer.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return policy.Name{}
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if _, err := fmt.Fprintf(conn, "%d , %d\r\n", remote.Port(), local.Port()); err != nil {
		return policy.Name{}
	}
	return identInfo(bufio.NewReader(io.LimitReader(conn, maxIdentReply)))
}

// identInfo returns what stands behind the third colon of an answer's line,
// without blanks. An answer that says nothing there gives an empty info, for
// tcpserver(1) knows it then; one that breaks off leaves it unknown.
func identInfo(answer io.ByteReader) policy.Name {
	var info []byte
	for colons := 0; len(info) < maxIdentInfo; {
		c, err := answer.ReadByte()
		if err != nil {
			return policy.Name{}
		}
		if c == '\n' {
			break
		}
		switch {
		case c == ' ', c == '\t', c == '\r':
		case colons == 3:
			info = append(info, c)
		case c == ':':
			colons++
		}
	}
	text, _, _ := strings.Cut(string(info), "\x00") // where an environment variable ends
	return policy.Known(text)
}
