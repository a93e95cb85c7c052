package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"ucspid/activation"
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
)

// openListeners makes the sockets to serve complete: those that were passed, or
// else those of --listen.
func openListeners(o *options, passed activation.Inheritance) ([]activation.Listener, error) {
	switch {
	case len(passed.Listeners) == 0 && len(o.listen) > 0:
		return listen(o.listen)
	case len(passed.Listeners) == 0:
		return nil, exit.Advise(errors.New("sockets: none were passed"), "start the .socket unit (systemctl start qmail-smtp.socket), or give --listen 127.0.0.1:2525")
	case len(o.listen) > 0 && !passed.Continued:
		return nil, exit.Advise(errors.New("option --listen: systemd passed sockets already"), "leave it out, and set ListenStream= of the .socket")
	}
	return passed.Listeners, nil
}

// listen opens listening sockets. They are plain TCP, as tcpserver's are.
func listen(addresses []string) ([]activation.Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	var listeners []activation.Listener
	for _, address := range addresses {
		l, err := config.Listen(context.Background(), "tcp", address)
		if err != nil {
			return nil, exit.Retry(fmt.Errorf("option --listen: %w", err))
		}
		f, err := l.(*net.TCPListener).File()
		l.Close()
		if err != nil {
			return nil, exit.Retry(fmt.Errorf("option --listen: %w", err))
		}
		listeners = append(listeners, activation.Listener{Name: "listen", File: f})
	}
	return listeners, nil
}

// printPorts prints the port of each listener on a line of its own: that is
// how one learns which one the kernel chose.
func printPorts(o *options, listeners []activation.Listener, stdout io.Writer) error {
	if !o.printPort {
		return nil
	}
	for _, l := range listeners {
		port, err := ucspi.LocalPort(l.File)
		if err != nil {
			return exit.Retry(fmt.Errorf("local port: %w", err))
		}
		if _, err := fmt.Fprintln(stdout, port); err != nil {
			return exit.Retry(err)
		}
	}
	return nil
}
