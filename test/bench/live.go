package main

import (
	"fmt"
	"time"
)

// live measures sessions that stay, and short ones beside them.
func (b *bench) live(r *report) error {
	rules, err := b.rules(10, "allow")
	if err != nil {
		return err
	}
	servers, err := b.launchAll(b.ucspid(ours, 1, "-x", rules), b.tcpserver(theirs, "-x", rules))
	if err != nil {
		return err
	}
	beside := map[int]float64{1000: 1.3, 5000: 2}
	grown := series{of: "live sessions"}
	there := 0
	for _, n := range []int{1, 10, 100, 1000, 5000} {
		for _, s := range servers {
			if err := b.keep(s, n-there); err != nil {
				return err
			}
		}
		there = n
		results, err := b.compare(busy(greeting), servers...)
		if err != nil {
			return err
		}
		grown.points = append(grown.points, point{n, results[0].median(cpu)})
		title := fmt.Sprintf("Allowed, 16 clients beside %d live sessions", n)
		goal, wanted := beside[n]
		if !wanted {
			r.look(title, results)
			continue
		}
		r.add(title, results)
		r.atLeast(goal, times, fmt.Sprintf("short sessions beside %d: rate, to tcpserver's", n), results[0].ratio(rate, results[1]))
	}
	r.growth = append(r.growth, grown)
	return b.idle(r, servers[0])
}

// keep opens sessions that stay until the part ends.
func (b *bench) keep(s *server, n int) error {
	seen, err := crowd{clients: clients, servers: s.at, want: greeting, visits: n, time: time.Minute, keep: true}.run()
	b.atEnd(seen.part)
	if err == nil && seen.served < n {
		err = fmt.Errorf("%s: only %d of %d sessions: %w", s.name, seen.served, n, seen.failure)
	}
	return err
}

// idleTime is how long nothing happens.
const idleTime = 4 * time.Second

// idle looks at a server with 5,000 sessions while nothing happens.
func (b *bench) idle(r *report, s *server) error {
	before, err := s.ownCPU()
	if err != nil {
		return err
	}
	time.Sleep(idleTime)
	after, err := s.ownCPU()
	if err != nil {
		return err
	}
	var large result
	if err := large.look(s); err != nil {
		return err
	}
	r.below(10, "MB", "5,000 live sessions: RSS", float64(large.rss)/1024)
	r.below(12, "threads", "5,000 live sessions: threads", float64(large.threads))
	r.below(0.5, "% of a core", "5,000 live sessions: CPU while nothing happens", 100*(after-before).Seconds()/idleTime.Seconds())
	return nil
}

// growth measures whether a connection costs more where there are more rules,
// listeners, or sources that limits are kept for. A denied one shows it best:
// nothing hides it. What the limits of so many sources add to it is what the
// benchmark of package policy says.
func (b *bench) growth(r *report) error {
	ruled := series{of: "rules"}
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		cost, err := b.denied(r, n, 1)
		if err != nil {
			return err
		}
		ruled.points = append(ruled.points, point{n, cost})
	}
	spread := series{of: "listeners"}
	for _, n := range []int{1, 4, 16} {
		cost, err := b.denied(r, 10, n)
		if err != nil {
			return err
		}
		spread.points = append(spread.points, point{n, cost})
	}
	tracked := series{of: "tracked sources"}
	for _, n := range []int{1, 1000, 1_000_000} {
		more, err := policyBenchmark("BenchmarkAdmission", n)
		if err != nil {
			return err
		}
		tracked.points = append(tracked.points, point{n, ruled.points[0].cost + more})
	}
	r.growth = append(r.growth, ruled, spread, tracked)
	return nil
}

// denied returns what a denied connection costs.
func (b *bench) denied(r *report, rules, listeners int) (float64, error) {
	cdb, err := b.rules(rules, "deny")
	if err != nil {
		return 0, err
	}
	s, err := b.launch(b.ucspid(ours, listeners, "-x", cdb))
	if err != nil {
		return 0, err
	}
	results, err := b.compare(turnedAway(), s)
	if err != nil {
		return 0, err
	}
	r.look(fmt.Sprintf("Denied by one of %d rules, on %d listeners", rules, listeners), results)
	return results[0].median(cpu), nil
}
