package main

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ucspid/internal/status"
)

// addTraffic adds the bytes from and to each peer, as the kernel counts them
// (sock_diag(7)): the server has no descriptor of a connection whose program
// runs. Where a balancer is between, the kernel does not know the peer.
func addTraffic(sessions []status.Session) {
	found := make(map[netip.AddrPort]*netlink.TCPInfo)
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := netlink.SocketDiagTCPInfo(family)
		if err != nil {
			continue // it stays unknown
		}
		for _, s := range sockets {
			ip, _ := netip.AddrFromSlice(s.InetDiagMsg.ID.Destination)
			peer := netip.AddrPortFrom(ip.Unmap(), s.InetDiagMsg.ID.DestinationPort)
			if _, twice := found[peer]; twice {
				s.TCPInfo = nil // by the peer alone nobody can tell which one it is
			}
			found[peer] = s.TCPInfo
		}
	}
	for i := range sessions {
		if info := found[sessions[i].Peer]; info != nil {
			in, out := info.Bytes_received, info.Bytes_sent-info.Bytes_retrans
			sessions[i].In, sessions[i].Out = &in, &out
		}
	}
}
