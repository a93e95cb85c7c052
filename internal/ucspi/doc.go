// Package ucspi does the work of a UCSPI server: it accepts connections, asks
// the policy about each peer, runs the program on those that are allowed, and
// reaps it. The interface to the program is that of tcpserver(1) and
// tcp-environ(5).
//
// A connection's journey stands in the order of the files: accept.go,
// connection.go, proxy.go, lookup.go (dns.go, ident.go), judge.go (refuse.go),
// environ.go, session.go, reap.go; log.go has one function for each thing that
// is said on the way.
//
// The invariants: a connection holds one of the slots from before it is
// accepted until it is closed or its program has ended; nobody is let in
// without a decision; an error of one connection ends that connection and
// nothing else.
package ucspi
