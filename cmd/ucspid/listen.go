package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"ucspid/activation"
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
)

// openListeners returns the sockets to serve: those that systemd passed, or
// those of --listen.
func openListeners(o *options) ([]*os.File, error) {
	passed, err := activation.Listeners()
	switch {
	case errors.Is(err, activation.ErrNoSockets) && len(o.listen) > 0:
		return listen(o.listen)
	case errors.Is(err, activation.ErrNoSockets):
		return nil, exit.Advise(err, "start the .socket unit (systemctl start qmail-smtp.socket), or give --listen 127.0.0.1:2525")
	case err != nil:
		return nil, err
	case len(o.listen) > 0:
		return nil, exit.Advise(errors.New("option --listen: systemd passed sockets already"), "leave it out, and set ListenStream= of the .socket")
	}
	var files []*os.File
	for _, l := range passed {
		files = append(files, l.File)
	}
	return files, nil
}

// listen opens listening sockets. They are plain TCP, as tcpserver's are.
func listen(addresses []string) ([]*os.File, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	var files []*os.File
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
		files = append(files, f)
	}
	return files, nil
}

// printPorts prints the port of each listener on a line of its own: that is
// how one learns which one the kernel chose.
func printPorts(o *options, listeners []*os.File, stdout io.Writer) error {
	if !o.printPort {
		return nil
	}
	for _, f := range listeners {
		port, err := ucspi.LocalPort(f)
		if err != nil {
			return exit.Retry(fmt.Errorf("local port: %w", err))
		}
		if _, err := fmt.Fprintln(stdout, port); err != nil {
			return exit.Retry(err)
		}
	}
	return nil
}
