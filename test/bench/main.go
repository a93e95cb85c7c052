// The command bench measures ucspid beside its peers and beside the limit that
// the kernel sets: all of them serve the same program to the same clients, in
// turns. test/bench/run starts it; "make bench" is the usual way.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// bench is what all parts share.
type bench struct {
	programs  string // the directory of ours
	originals string // the directory of Debian's, as test/originals unpacks them
	guest     string // the process id of a booted systemd, "" for none
	rounds    int
	scratch   string
	ends      []func() // of the part that runs
}

// part is a chapter of the report.
type part struct {
	name    string
	guest   bool // it needs a booted systemd
	measure func(*bench, *report) error
}

// parts returns all parts, in the order of the report.
func parts() []part {
	return []part{
		{"allow", false, (*bench).allow},
		{"cage", true, (*bench).cage},
		{"low", false, (*bench).low},
		{"deny", false, (*bench).deny},
		{"accept", true, (*bench).acceptYes},
		{"decide", false, (*bench).decide},
		{"live", false, (*bench).live},
		{"journal", true, (*bench).journal},
		{"start", false, (*bench).start},
		{"growth", false, (*bench).growth},
	}
}

func main() {
	runtime.LockOSThread() // the servers end with the thread that started them
	b := &bench{}
	flag.StringVar(&b.programs, "programs", "bin/bench", "`directory` of our programs")
	flag.StringVar(&b.originals, "originals", "", "`directory` of Debian's unpacked packages")
	flag.StringVar(&b.guest, "guest", "", "`process id` of a booted systemd")
	flag.IntVar(&b.rounds, "rounds", 15, "that count")
	docs := flag.String("docs", "", "`directory` to write benchmarks.md and its figures to")
	flag.Parse()
	if err := b.run(flag.Args(), *docs); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures the named parts, or all.
func (b *bench) run(names []string, docs string) (err error) {
	if docs != "" && len(names) > 0 {
		return errors.New("the documents are about all parts")
	}
	for _, name := range names {
		if !slices.ContainsFunc(parts(), func(p part) bool { return p.name == name }) {
			return fmt.Errorf("no part %q", name)
		}
	}
	if b.programs, err = filepath.Abs(b.programs); err != nil {
		return err
	}
	if b.scratch, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	if err := os.Chmod(b.scratch, 0o755); err != nil { // programs of other users read there
		return err
	}
	r := report{machine: machine()}
	before := now()
	var failed error
	for _, p := range parts() {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		if p.guest && b.guest == "" {
			r.skip(p.name + ": needs root and systemd-nspawn")
			continue
		}
		if err := b.measure(p, &r); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	r.machine += fmt.Sprintf(" For %.0f %% of the time somebody else had the processors (steal).", before.stolenUntil(now()))
	r.print(os.Stdout)
	if docs == "" || failed != nil {
		return failed
	}
	return r.write(docs, b.rounds)
}

// measure runs one part, and stops what it started.
func (b *bench) measure(p part, r *report) error {
	defer func() {
		for _, end := range slices.Backward(b.ends) {
			end()
		}
		b.ends = nil
	}()
	fmt.Println("== " + p.name)
	return p.measure(b, r)
}

// atEnd has something done when the part ends.
func (b *bench) atEnd(end func()) { b.ends = append(b.ends, end) }
