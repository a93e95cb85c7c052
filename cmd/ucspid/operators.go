package main

import (
	"fmt"
	"net"

	"ucspid/activation"
	"ucspid/internal/status"
)

// answer answers operators on the status socket, if one was passed, for as long
// as the process lives. The next program gets the socket with the others.
func (d *daemon) answer(socket *activation.Listener) error {
	if socket == nil {
		return nil
	}
	d.listeners = append(d.listeners, *socket)
	l, err := net.FileListener(socket.File)
	if err != nil {
		return fmt.Errorf("socket %q: %w", socket.Name, err)
	}
	go status.Serve(l.(*net.UnixListener), d.server)
	return nil
}
