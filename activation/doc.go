// Package activation is the half of the program that belongs to systemd: the
// listening sockets that come in (sd_listen_fds(3)), what one process leaves
// to the next, the states that go out (sd_notify(3)), and the journal. It is
// the only one that speaks to systemd.
//
// The invariant: a listener that Inherit returned is a listening TCP socket,
// the one for operators a listening AF_UNIX socket, and no variable that systemd
// meant for this process is left in Environ for another.
package activation
