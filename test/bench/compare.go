package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// turn is what was measured of a server in one round.
type turn struct {
	rate     float64 // visits served a second
	cpu      float64 // µs of the server and its programs for each
	p50, p99 float64 // of the first byte, ms
}

// result is what was measured of a server in all rounds.
type result struct {
	name         string
	turns        []turn
	rss, threads int // kB, after the last round
	failed       int
	failure      error // the first one
}

// compare has servers take turns under a load, so that what disturbs the
// machine disturbs them all. A first round warms up and does not count.
func (b *bench) compare(load crowd, servers ...*server) ([]result, error) {
	results := make([]result, len(servers))
	for round := range b.rounds + 1 {
		for i := range servers {
			if round%2 == 1 { // nobody always comes after the same one
				i = len(servers) - 1 - i
			}
			s := servers[i]
			results[i].name = s.name
			if err := results[i].take(s, load, round == 0); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return results, nil
}

// warmUp is how many visits a server gets before any count.
const warmUp = 50

// take has a server take its turn.
func (r *result) take(s *server, load crowd, warming bool) error {
	load.servers = s.at
	load.want = cmp.Or(s.says, load.want)
	if warming {
		load.visits = min(load.visits, warmUp)
	}
	before, err := s.cpu()
	if err != nil {
		return err
	}
	seen, err := load.run()
	if err != nil {
		return err
	}
	after, err := s.cpu()
	if err != nil {
		return err
	}
	r.failed += seen.failed
	r.failure = cmp.Or(r.failure, seen.failure)
	if !warming {
		r.turns = append(r.turns, newTurn(seen, after-before))
	}
	return r.look(s)
}

// look notes how large the server is.
func (r *result) look(s *server) (err error) {
	if r.rss, err = s.status("VmRSS"); err == nil {
		r.threads, err = s.status("Threads")
	}
	return err
}

// newTurn returns no numbers where nobody was served: they meet no goal.
func newTurn(seen tally, cpu time.Duration) turn {
	if seen.served == 0 {
		return turn{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	slices.Sort(seen.firstByte)
	percentile := func(n int) float64 {
		return 1e3 * seen.firstByte[len(seen.firstByte)*n/100].Seconds()
	}
	return turn{
		rate: float64(seen.served) / seen.took.Seconds(),
		cpu:  1e6 * cpu.Seconds() / float64(seen.served),
		p50:  percentile(50),
		p99:  percentile(99),
	}
}

// The quantities of a turn.
func rate(t turn) float64 { return t.rate }
func cpu(t turn) float64  { return t.cpu }
func p50(t turn) float64  { return t.p50 }
func p99(t turn) float64  { return t.p99 }

// median returns the median of a quantity over all rounds.
func (r result) median(of func(turn) float64) float64 {
	var values []float64
	for _, t := range r.turns {
		values = append(values, of(t))
	}
	return median(values)
}

// ratio returns the median of a quantity relative to another's in the same
// round.
func (r result) ratio(of func(turn) float64, to result) float64 {
	var values []float64
	for i := range r.turns {
		values = append(values, of(r.turns[i])/of(to.turns[i]))
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// named returns the result of that name.
func named(results []result, name string) result {
	i := slices.IndexFunc(results, func(r result) bool { return r.name == name })
	if i < 0 {
		panic(fmt.Sprintf("no result %q", name))
	}
	return results[i]
}
