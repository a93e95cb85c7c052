package main

import "fmt"

// refusing is a rule by which nobody gets in, but for the limits; refusal is what
// a client gets by it.
const (
	refusing = `allow,MAXCONNIP="0"`
	refusal  = "421 4.7.0 Too many connections from your address\r\n"
)

// turnedAway is clients that are denied. One thread of them is no faster than a
// server that only hangs up.
func turnedAway() crowd {
	load := busy("")
	load.threads = 2
	return load
}

// deny measures connections that a rule denies, with the limits on that docs
// recommends, and such as a limit refuses with a line.
func (b *bench) deny(r *report) error {
	rules, err := b.rules(10, "deny")
	if err != nil {
		return err
	}
	servers, err := b.launchAll(
		b.ucspid(ours, 1, "-x", rules, "-C", "20", "--per-network", "100", "--rate", "1000/1s"),
		b.tcpserver(theirs, "-x", rules),
		b.limit(closeLimit),
	)
	if err != nil {
		return err
	}
	refused, err := b.rules(10, refusing)
	if err != nil {
		return err
	}
	polite, err := b.launch(b.ucspid("ucspid -x, 421 line", 1, "-x", refused, "--refuse-with", "smtp"))
	if err != nil {
		return err
	}
	polite.says = refusal
	results, err := b.compare(turnedAway(), append(servers, polite)...)
	if err != nil {
		return err
	}
	r.add(denyTitle, results)
	r.atLeast(5, times, "deny: rate, to tcpserver's", results[0].ratio(rate, results[1]))
	r.atMost(0.1, times, "deny: CPU, to tcpserver's", results[0].ratio(cpu, results[1]))
	r.atLeast(4.5, times, "refused with a 421 line: rate, to that at which tcpserver denies", results[3].ratio(rate, results[1]))
	return nil
}

// acceptYes measures what systemd does alone: as fast as it can, and as it is
// unless told otherwise, when a crowd trips its limit and the port is closed.
func (b *bench) acceptYes(r *report) error {
	rules, err := b.rules(10, "allow")
	if err != nil {
		return err
	}
	if err := b.place(rules); err != nil {
		return err
	}
	ucspid, err := b.cagedUcspid(ours+", in the unit", "bench-ucspid", "")
	if err != nil {
		return err
	}
	unlimited, err := b.startAcceptYes("Accept=yes, no cage (PID 1)", "bench-unlimited", "TriggerLimitIntervalSec=0\n")
	if err != nil {
		return err
	}
	results, err := b.compare(busy(greeting), ucspid, unlimited)
	if err != nil {
		return err
	}
	r.add("Accept=yes, 16 clients", results)
	r.atLeast(5, times, "rate, to that of Accept=yes", results[0].ratio(rate, results[1]))

	limited, err := b.startAcceptYes("Accept=yes", "bench-limited", "")
	if err != nil {
		return err
	}
	const burst = 1000
	for _, s := range []*server{limited, ucspid} {
		seen, err := crowd{clients: clients, servers: s.at, want: greeting, visits: burst, time: patience}.run()
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%s: %d visits by 16 clients", s.name, seen.served+seen.failed)
		failed := fmt.Sprintf("%d failed", seen.failed)
		if s == ucspid {
			r.find(what, "0 fail", failed, seen.failed == 0)
		} else {
			r.note(what + ": " + failed)
		}
	}
	return nil
}
