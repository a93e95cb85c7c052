package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"time"

	"ucspid/internal/errno"
	"ucspid/internal/exit"
	"ucspid/policy"
)

// tcprulescheck is the program of that name of ucspi-tcp 0.88. It asks the
// rules about the peer in TCPREMOTEIP, TCPREMOTEHOST and TCPREMOTEINFO:
//
//	TCPREMOTEIP=1.2.3.4 tcprulescheck rules.cdb
func tcprulescheck(args []string, getenv func(string) (string, bool), stdout, stderr io.Writer) int {
	if len(args) < 1 {
		fmt.Fprintln(stderr, "tcprulescheck: usage: tcprulescheck rules.cdb")
		return exit.Usage
	}
	die := func(what string) int {
		fmt.Fprintf(stderr, "tcprulescheck: fatal: %s\n", what)
		return exit.Temporary
	}
	peer, err := peerOf(getenv)
	if err != nil {
		return die(err.Error())
	}
	rules, err := (&policy.File{Path: args[0]}).Database(time.Now())
	if err != nil {
		return die(fmt.Sprintf("unable to read %s: %s", args[0], errno.Text(err)))
	}
	decision, err := policy.Decide(peer, rules)
	if err != nil {
		return die(fmt.Sprintf("unable to read %s: %s", args[0], errno.Text(err)))
	}
	out := bufio.NewWriter(stdout)
	tell(out, decision)
	if err := out.Flush(); err != nil {
		return die("unable to write output: " + errno.Text(err))
	}
	return exit.OK
}

// peerOf returns the peer that the environment describes.
func peerOf(getenv func(string) (string, bool)) (policy.Peer, error) {
	ip, known := getenv("TCPREMOTEIP")
	if !known {
		ip = "0.0.0.0"
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return policy.Peer{}, fmt.Errorf("TCPREMOTEIP %s: not an IP address", printable(ip))
	}
	peer := policy.Peer{IP: addr}
	if host, known := getenv("TCPREMOTEHOST"); known {
		peer.Host = policy.Known(host)
	}
	if info, known := getenv("TCPREMOTEINFO"); known {
		peer.Info = policy.Known(info)
	}
	return peer, nil
}

// tell prints a decision. The variables of a rule that denies are not said.
func tell(w io.Writer, d policy.Decision) {
	if d.Matched {
		fmt.Fprintf(w, "rule %s:\n", d.Rule)
	} else {
		fmt.Fprintln(w, "default:")
	}
	if d.Verdict != policy.Allow {
		fmt.Fprintln(w, "deny connection")
		return
	}
	for _, item := range d.Env {
		if name, unset := policy.Unsets(item); unset { // in the words of indimail's
			fmt.Fprintf(w, "unset environment variable %s\n", name)
			continue
		}
		fmt.Fprintf(w, "set environment variable %s\n", item)
	}
	fmt.Fprintln(w, "allow connection")
}
