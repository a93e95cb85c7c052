package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// decide has the benchmark of package policy judge by a million rules.
func (b *bench) decide(r *report) error {
	took, err := policyBenchmark("BenchmarkDecide", 1_000_000)
	if err == nil {
		r.atMost(1.5, "µs", "decide by 1,000,000 rules about addresses, every key in vain", took)
	}
	return err
}

// policyBenchmark returns how many µs an operation takes in a benchmark of
// package policy, at a size.
func policyBenchmark(name string, size int) (float64, error) {
	const times = 5
	only := fmt.Sprintf("^%s$/^%d$", name, size)
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", only, "-count", strconv.Itoa(times), "./policy").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("go test: %w: %s", err, bytes.TrimSpace(out))
	}
	found := regexp.MustCompile(`(?m)^Benchmark\S*\s+\d+\s+([\d.]+) ns/op`).FindAllSubmatch(out, -1)
	if len(found) < times {
		return 0, fmt.Errorf("go test: %s", bytes.TrimSpace(out))
	}
	var took []float64
	for _, f := range found {
		ns, err := strconv.ParseFloat(string(f[1]), 64)
		if err != nil {
			return 0, err
		}
		took = append(took, ns/1000)
	}
	return median(took), nil
}

// start measures the time until the server says that it is ready.
func (b *bench) start(r *report) error {
	rules, err := b.rules(10, "allow")
	if err != nil {
		return err
	}
	var took []float64
	for range 2 * b.rounds {
		ms, err := b.startOnce(rules)
		if err != nil {
			return err
		}
		took = append(took, ms)
	}
	r.below(20, "ms", "start to READY=1", median(took))

	// what "make build" makes, not what "go build" does
	info, err := os.Stat(filepath.Join(b.programs, "ucspid"))
	if err != nil {
		return err
	}
	r.below(8, "MB", "size of the binary", float64(info.Size())/1e6)
	return nil
}

// startOnce returns how many milliseconds one start took.
func (b *bench) startOnce(rules string) (float64, error) {
	name := filepath.Join(b.scratch, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return 0, err
	}
	defer os.Remove(name)
	defer socket.Close()
	words, _, err := b.settle(b.ucspid(ours, 1, "-x", rules))
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "NOTIFY_SOCKET=" + name}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	message := make([]byte, 4096)
	_ = socket.SetReadDeadline(began.Add(patience))
	for {
		n, err := socket.Read(message)
		if err != nil {
			return 0, fmt.Errorf("waiting for READY=1: %w", err)
		}
		if bytes.Contains(message[:n], []byte("READY=1")) {
			return 1e3 * time.Since(began).Seconds(), nil
		}
	}
}

// journal measures what -v costs where journald takes it, at 1,000
// connections a second.
func (b *bench) journal(r *report) error {
	rules, err := b.rules(10, "allow")
	if err != nil {
		return err
	}
	if err := b.place(rules); err != nil {
		return err
	}
	quiet, err := b.cagedUcspid(ours, "bench-quiet", "")
	if err != nil {
		return err
	}
	loud, err := b.cagedUcspid(oursLoud, "bench-loud", "-v")
	if err != nil {
		return err
	}
	load := crowd{clients: 4 * clients, want: greeting, rate: 1000, visits: turnVisits, time: 2 * turnTime}
	results, err := b.compare(load, quiet, loud)
	if err != nil {
		return err
	}
	r.add("Allowed, in the unit, 1,000 connections a second", results)
	r.atLeast(0.9, times, "1,000 a second with -v to the journal: rate, to that without", results[1].ratio(rate, results[0]))
	return b.lost(r)
}

// lost looks for lines that journald was too slow for.
func (b *bench) lost(r *report) error {
	if _, err := b.inGuest("journalctl", "--sync"); err != nil {
		return err
	}
	said, err := b.inGuest("journalctl", "--unit=bench-loud", "--output=cat", "--no-pager", "UCSPI_EVENT=lost")
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return err
	}
	lines := 0
	for line := range strings.Lines(said) {
		var n int
		if _, err := fmt.Sscanf(line, "warning: %d lines left out", &n); err == nil {
			lines += n
		}
	}
	r.find("1,000 a second with -v to the journal: lines left out", "0", strconv.Itoa(lines), lines == 0)
	return nil
}
