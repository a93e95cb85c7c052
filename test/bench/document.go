package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const introduction = `# Benchmarks

` + "`make bench REPORT=docs`" + ` wrote this page. %s

Every server serves the same small, dynamically linked program to the same clients over the loopback,
with the same rules, in turns of a moment; each number is the median of %d turns, each ratio that of
the ratios within one round. CPU is user and system time of the server and its programs together. The
first byte is counted from connect(2); of a denied connection it is the end. The C loops do what no
server can do without: they are the limit that the kernel sets. On another machine the numbers are
others; the ratios should not be.

`

// write writes the report as a page with its figures.
func (r *report) write(dir string, rounds int) error {
	var page bytes.Buffer
	fmt.Fprintf(&page, introduction, r.machine, rounds)
	fmt.Fprint(&page, "![Connections a second](benchmarks.svg)\n\n## Goals\n\n")
	writeRows(&page, r.goals())
	for _, what := range r.notes {
		fmt.Fprintf(&page, "Without a goal, %s.\n\n", what)
	}
	for _, t := range r.tables {
		fmt.Fprintf(&page, "## %s\n\n", t.title)
		writeRows(&page, t.rows())
	}
	fmt.Fprint(&page, "## Growth\n\nDenied connections where there are more rules, listeners, or sources that limits are kept for; allowed\nones beside more sessions.\n\n![Growth](growth.svg)\n\n")
	for _, s := range r.growth {
		writeRows(&page, s.rows())
	}
	for _, why := range r.skipped {
		fmt.Fprintf(&page, "Skipped: %s.\n\n", why)
	}
	for name, content := range map[string][]byte{
		"benchmarks.md":  append(bytes.TrimSpace(page.Bytes()), '\n'),
		"benchmarks.svg": r.bars(),
		"growth.svg":     r.lines(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writeRows(page *bytes.Buffer, rows [][]string) {
	for i, row := range rows {
		fmt.Fprintf(page, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintln(page, "|"+strings.Repeat("---|", len(row)))
		}
	}
	fmt.Fprintln(page)
}

// machine says when and on what all was measured.
func machine() string {
	model := runtime.GOARCH
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	kernel, load := "?", "?"
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		kernel, _, _ = strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	return fmt.Sprintf("It ran on %s: %d processors (%s), load %s before, Linux %s, %s.",
		time.Now().Format("2 January 2006"), runtime.NumCPU(), model, load, kernel, runtime.Version())
}

// ticks are those of all processors since the boot, and of those the ones that
// the host had them for others (proc(5), /proc/stat).
type ticks struct{ all, stolen float64 }

func now() (t ticks) {
	text, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(first)
	for i, field := range fields[1:min(len(fields), 9)] { // what follows is counted in these
		n, _ := strconv.ParseFloat(field, 64)
		t.all += n
		if i == 7 {
			t.stolen = n
		}
	}
	return t
}

// stolenUntil returns the part of the time that was stolen, in percent.
func (t ticks) stolenUntil(later ticks) float64 {
	return 100 * (later.stolen - t.stolen) / max(later.all-t.all, 1)
}
