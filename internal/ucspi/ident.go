package ucspi

import (
	"bufio"
	"context"
	"fmt"
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
	line, err := bufio.NewReaderSize(conn, maxIdentReply).ReadSlice('\n')
	if err != nil && len(line) < maxIdentInfo {
		return policy.Name{}
	}
	return identInfo(string(line))
}

// identInfo returns what stands behind the third colon of an answer, without
// blanks. An answer that says nothing there leaves the info unknown.
func identInfo(line string) policy.Name {
	fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 4)
	if len(fields) < 4 {
		return policy.Name{}
	}
	info, _, _ := strings.Cut(fields[3], "\x00") // where an environment variable ends
	info = strings.NewReplacer(" ", "", "\t", "", "\r", "").Replace(info)
	if info == "" {
		return policy.Name{}
	}
	return policy.Known(info[:min(len(info), maxIdentInfo)])
}
