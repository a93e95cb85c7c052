package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/activation"
	"ucspid/internal/errno"
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// check finds what can be found wrong without serving.
func check(o *options) error {
	_, err := findProgram(o.program)
	_, termsErr := o.limits.serverTerms()
	return errors.Join(err, termsErr, checkRules(rulesFile(o)))
}

// rulesFile returns the file of the rules, nil when there is none.
func rulesFile(o *options) *policy.File {
	if o.rules == "" {
		return nil
	}
	return &policy.File{Path: o.rules, Optional: o.rulesOptional}
}

// checkRules reads the rules, for the first connection too.
func checkRules(rules *policy.File) error {
	if rules == nil {
		return nil
	}
	if _, err := rules.Database(time.Now()); err != nil {
		return exit.Advise(fmt.Errorf("rules %s: %s", rules.Path, errno.Text(err)), "compile them: ucspidctl rules compile -o "+rules.Path+" FILE")
	}
	return nil
}

// serve serves until it is told to stop.
func serve(o *options, stdout, stderr io.Writer) error {
	// What we do ourselves is little beside what the programs do. More threads
	// of Go's would mostly wake each other; a collector that comes more often
	// is not seen beside an exec, what it leaves to the programs is.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(40)
	d := newDaemon()
	// Who reads stderr may go, and that must not end the server.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := activation.Seal(); err != nil {
		return exit.Retry(err)
	}
	// The programs have our user. They may neither trace us nor open our memory.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return exit.Retry(os.NewSyscallError("prctl", err))
	}
	program, err := findProgram(o.program)
	if err != nil {
		return err
	}
	terms, err := o.limits.serverTerms()
	if err != nil {
		return err
	}
	inherited, err := activation.Inherit()
	if err != nil {
		return err
	}
	listeners, err := openListeners(o, inherited)
	if err != nil {
		return err
	}
	if err := printPorts(o, listeners, stdout); err != nil {
		return err
	}
	if err := letGo(os.Stdin, os.Stdout); err != nil {
		return exit.Retry(err)
	}
	watchdog, err := activation.WatchdogInterval()
	if err != nil {
		return err
	}

	voice := newVoice(stderr, o.verbosity)
	defer voice.close()
	rules := rulesFile(o)
	if err := checkRules(rules); err != nil {
		voice.warn("start", err) // connections are dropped until the file is right
	}
	warnOfSandbox(voice)
	if d.server, err = newServer(o, program, terms, rules, listeners, voice); err != nil {
		return exit.Retry(fmt.Errorf("sessions: %w", err))
	}
	d.listeners, d.voice = listeners, voice
	d.adopt(inherited)
	if err := d.answer(inherited.Status); err != nil {
		voice.warn("start", err) // clients are served all the same
	}
	go d.status.report(d.server)
	go keepAlive(d.server, watchdog)
	// Where nobody reads what systemd is to be told, there are clients all the same.
	if err := activation.Ready(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return exit.Retry(fmt.Errorf("systemd: ready: %w", err))
	}
	return d.run()
}

// letGo connects files to nothing. Whoever waits for the end of what we print
// need not wait for the end of us.
func letGo(files ...*os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for _, f := range files {
		if err := unix.Dup3(int(null.Fd()), int(f.Fd()), 0); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return nil
}

// newServer puts the server together from the options.
func newServer(o *options, program ucspi.Program, terms policy.Terms, rules *policy.File, listeners []activation.Listener, v *voice) (*ucspi.Server, error) {
	_, localNameKnown := o.localName.Text()
	var files []*os.File
	for _, l := range listeners {
		files = append(files, l.File)
	}
	return ucspi.NewServer(ucspi.Config{
		Listeners: files,
		Program:   program,
		Limits: policy.Limits{
			Sessions: o.maxSessions, Reserve: o.limits.reserve,
			Host: o.limits.host, Network: o.limits.network,
		},
		Terms:       terms,
		Refusals:    o.limits.refusals,
		Rules:       rules,
		ProxyFrom:   o.proxyFrom,
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
	})
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
