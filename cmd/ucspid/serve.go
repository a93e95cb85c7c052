package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"ucspid/activation"
	"ucspid/internal/errno"
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// check finds what can be found wrong without serving.
func check(o *options) error {
	_, err := findProgram(o.program)
	return errors.Join(err, checkRules(o))
}

func checkRules(o *options) error {
	if o.rules == "" {
		return nil
	}
	rules := policy.File{Path: o.rules, Optional: o.rulesOptional}
	if _, err := rules.Database(); err != nil {
		return exit.Advise(fmt.Errorf("rules %s: %s", o.rules, errno.Text(err)), "compile them: ucspidctl rules compile -o "+o.rules+" FILE")
	}
	return nil
}

// serve serves until it is told to stop.
func serve(o *options, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// Who reads stderr may go, and that must not end the server.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := activation.Seal(); err != nil {
		return exit.Retry(err)
	}
	program, err := findProgram(o.program)
	if err != nil {
		return err
	}
	listeners, err := openListeners(o)
	if err != nil {
		return err
	}
	if err := printPorts(o, listeners, stdout); err != nil {
		return err
	}
	if err := checkRules(o); err != nil && o.verbosity != ucspi.Quiet {
		exit.Report(stderr, "ucspid", err) // connections are dropped until the file is right
	}
	watchdog, err := activation.WatchdogInterval()
	if err != nil {
		return err
	}

	voice := newVoice(stderr)
	defer voice.close()
	server := newServer(o, program, listeners, voice)
	go reportStatus(ctx, server)
	go keepAlive(ctx, server, watchdog)
	if err := activation.Ready(); err != nil {
		return exit.Retry(fmt.Errorf("systemd: ready: %w", err))
	}
	server.Serve(ctx)
	return activation.Stopping()
}

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

// newServer puts the server together from the options.
func newServer(o *options, program ucspi.Program, listeners []*os.File, v *voice) *ucspi.Server {
	_, localNameKnown := o.localName.Text()
	c := ucspi.Config{
		Listeners:   listeners,
		Program:     program,
		MaxSessions: o.maxSessions,
		Banner:      o.banner,
		NoDelay:     o.noDelay,
		KeepOptions: o.keepOptions,
		Names: ucspi.Names{
			RemoteHost:   o.remoteHost,
			Paranoid:     o.paranoid,
			RemoteInfo:   o.remoteInfo,
			LocalHost:    o.localName,
			AskLocalHost: !localNameKnown,
			DNS:          ucspi.DNS{Servers: dnsCacheIP(os.Getenv("DNSCACHEIP"))},
			Timeout:      o.lookupTimeout,
			InfoTimeout:  o.infoTimeout,
		},
		Verbosity: o.verbosity,
		Send:      v.send,
	}
	if o.rules != "" {
		c.Rules = &policy.File{Path: o.rules, Optional: o.rulesOptional}
	}
	return ucspi.NewServer(c)
}

// maxServers is how many name servers tcpserver(1) asks.
const maxServers = 16

// dnsCacheIP returns the name servers of $DNSCACHEIP, which tcpserver(1) asks
// instead of those of resolv.conf: IPv4 addresses, one after the other with a
// dot between them.
func dnsCacheIP(text string) []string {
	var servers []string
	octets := strings.FieldsFunc(text, func(r rune) bool { return r == '.' })
	for len(octets) >= 4 && len(servers) < maxServers {
		ip, err := netip.ParseAddr(strings.Join(octets[:4], "."))
		if err != nil {
			break
		}
		servers = append(servers, netip.AddrPortFrom(ip, 53).String())
		octets = octets[4:]
	}
	return servers
}

// statusPause keeps PID 1 from hearing more than one status a second.
const statusPause = time.Second

// reportStatus shows the counts in systemctl status, until ctx ends.
func reportStatus(ctx context.Context, s *ucspi.Server) {
	for {
		n := s.Counts()
		_ = activation.Status(fmt.Sprintf("%d/%d sessions; %d denied", n.Sessions, n.Limit, n.Denied))
		select {
		case <-time.After(statusPause):
		case <-ctx.Done():
			return
		}
		select {
		case <-s.Changed():
		case <-ctx.Done():
			return
		}
	}
}

// keepAlive answers the watchdog while no accept loop is stuck, until ctx
// ends.
func keepAlive(ctx context.Context, s *ucspi.Server, interval time.Duration) {
	if interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			if s.BusyFor(now) < interval {
				_ = activation.KeepAlive()
			}
		case <-ctx.Done():
			return
		}
	}
}
