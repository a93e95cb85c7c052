package main

import (
	"fmt"
	"time"
)

// clients is how many there are at once where they are many.
const clients = 16

// The bounds of one turn.
const (
	turnTime   = 300 * time.Millisecond // short, so that what disturbs the machine disturbs all
	turnVisits = 100_000
)

// busy is clients that come again at once.
func busy(want string) crowd {
	return crowd{clients: clients, want: want, visits: turnVisits, time: turnTime}
}

// The names that several parts use.
const (
	ours       = "ucspid -x"
	theirs     = "tcpserver -x"
	oursLoud   = "ucspid -x -v"
	theirsLoud = "tcpserver -x -v"
	runLimit   = "C loop: accept4, vfork, execve"
	closeLimit = "C loop: accept4, close"

	allowTitle = "Allowed, 16 clients"
	denyTitle  = "Denied by a rule, 16 clients"
)

// allow measures connections that get the program.
func (b *bench) allow(r *report) error {
	rules, err := b.rules(10, "allow")
	if err != nil {
		return err
	}
	servers, err := b.launchAll(
		b.ucspid(ours, 1, "-x", rules),
		b.tcpserver(theirs, "-x", rules),
		b.limit(runLimit, b.program()),
		b.ucspid(oursLoud, 1, "-v", "-x", rules),
		b.tcpserver(theirsLoud, "-v", "-x", rules),
		b.tcpsvd(),
	)
	if err != nil {
		return err
	}
	if xinetd, err := b.launchXinetd(); err == nil {
		servers = append(servers, xinetd)
	} else {
		r.skip(err.Error()) // its libraries need not be there
	}
	results, err := b.compare(busy(greeting), servers...)
	if err != nil {
		return err
	}
	r.add(allowTitle, results)
	ucspid, tcpserver := named(results, ours), named(results, theirs)
	r.atLeast(1.10, times, "allow: rate, to tcpserver's", ucspid.ratio(rate, tcpserver))
	r.atLeast(1.00, times, "allow: rate, to the C loop's", ucspid.ratio(rate, named(results, runLimit)))
	r.atLeast(1.05, times, "allow: rate with -v, to tcpserver's with -v", named(results, oursLoud).ratio(rate, named(results, theirsLoud)))
	r.atMost(0.88, times, "allow: CPU, to tcpserver's", ucspid.ratio(cpu, tcpserver))
	r.atMost(0.75, times, "allow: first byte p99, to tcpserver's", ucspid.ratio(p99, tcpserver))
	return nil
}

// cage measures the same inside the shipped unit.
func (b *bench) cage(r *report) error {
	rules, err := b.rules(10, "allow")
	if err != nil {
		return err
	}
	if err := b.place(rules); err != nil {
		return err
	}
	ucspid, err := b.cagedUcspid(ours, "bench-ucspid", "")
	if err != nil {
		return err
	}
	tcpserver, err := b.cagedTCPServer(theirs, "bench-tcpserver", "")
	if err != nil {
		return err
	}
	bare, err := b.launch(b.tcpserver(theirs+", bare", "-x", rules))
	if err != nil {
		return err
	}
	results, err := b.compare(busy(greeting), ucspid, tcpserver, bare)
	if err != nil {
		return err
	}
	r.add("Allowed, in the cage of the shipped unit, 16 clients", results)
	mine, same := results[0], results[1]
	r.atLeast(1.10, times, "in the unit: rate, to tcpserver's in the same cage", mine.ratio(rate, same))
	r.atMost(0.88, times, "in the unit: CPU, to tcpserver's", mine.ratio(cpu, same))
	r.atMost(0.75, times, "in the unit: first byte p99, to tcpserver's", mine.ratio(p99, same))
	r.note(fmt.Sprintf("in the unit: rate, to tcpserver's without any cage: %.2f ×", mine.ratio(rate, results[2])))
	return nil
}

// low measures a client that comes alone, now and then.
func (b *bench) low(r *report) error {
	rules, err := b.rules(10, "allow")
	if err != nil {
		return err
	}
	servers, err := b.launchAll(
		b.ucspid(ours, 1, "-x", rules),
		b.tcpserver(theirs, "-x", rules),
		b.limit(runLimit, b.program()),
	)
	if err != nil {
		return err
	}
	results, err := b.compare(crowd{clients: 1, want: greeting, rate: 100, visits: turnVisits, time: turnTime}, servers...)
	if err != nil {
		return err
	}
	r.add("Allowed, one client, 100 times a second", results)
	r.atMost(1.00, times, "one client now and then: first byte p50, to tcpserver's", results[0].ratio(p50, results[1]))
	return nil
}
