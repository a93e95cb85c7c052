package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// report is all that was found.
type report struct {
	machine  string
	findings []finding
	tables   []table
	growth   []series
	notes    []string // what has no goal
	skipped  []string
}

// finding is what became of one goal.
type finding struct {
	what, goal, measured string
	met                  bool
}

// table is what was measured of some servers under one load.
type table struct {
	title   string
	results []result
}

// series is how the cost of a connection grows with something.
type series struct {
	of     string
	points []point
}

// point is the cost of a connection, in µs, at a size.
type point struct {
	size int
	cost float64
}

func (r *report) note(what string) { r.notes = append(r.notes, what) }
func (r *report) skip(why string)  { r.skipped = append(r.skipped, why) }

// atLeast, atMost and below compare a ratio or a quantity with its goal.
func (r *report) atLeast(goal float64, unit, what string, got float64) {
	r.find(what, "≥ "+quantity(goal, unit), quantity(got, unit), got >= goal)
}

func (r *report) atMost(goal float64, unit, what string, got float64) {
	r.find(what, "≤ "+quantity(goal, unit), quantity(got, unit), got <= goal)
}

func (r *report) below(goal float64, unit, what string, got float64) {
	r.find(what, "< "+quantity(goal, unit), quantity(got, unit), got < goal)
}

func (r *report) find(what, goal, measured string, met bool) {
	r.findings = append(r.findings, finding{what, goal, measured, met})
}

// times is the unit of a ratio.
const times = "×"

// quantity writes a number with the digits that mean something.
func quantity(n float64, unit string) string {
	switch {
	case n == math.Trunc(n) && unit != times:
		return fmt.Sprintf("%.0f %s", n, unit)
	case n >= 10:
		return fmt.Sprintf("%.1f %s", n, unit)
	}
	return fmt.Sprintf("%.2f %s", n, unit)
}

// add takes a table.
func (r *report) add(title string, results []result) {
	r.tables = append(r.tables, table{title, results})
	r.look(title, results)
}

// look makes visits that failed a finding.
func (r *report) look(title string, results []result) {
	for _, one := range results {
		if one.failed > 0 {
			r.find(title+": "+one.name, "no visit fails", fmt.Sprintf("%d failed: %v", one.failed, one.failure), false)
		}
	}
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "NOT MET"
}

// rows returns a table as text, the head first.
func (t table) rows() [][]string {
	rows := [][]string{{"server", "connections/s", "CPU µs each", "first byte p50 ms", "p99 ms", "RSS kB", "threads", "failed"}}
	for _, r := range t.results {
		rows = append(rows, []string{
			r.name, fmt.Sprintf("%.0f", r.median(rate)), fmt.Sprintf("%.1f", r.median(cpu)),
			fmt.Sprintf("%.2f", r.median(p50)), fmt.Sprintf("%.2f", r.median(p99)),
			fmt.Sprint(r.rss), fmt.Sprint(r.threads), fmt.Sprint(r.failed),
		})
	}
	return rows
}

// goals returns the findings as text, the head first.
func (r *report) goals() [][]string {
	rows := [][]string{{"", "goal", "measured", ""}}
	for _, f := range r.findings {
		rows = append(rows, []string{f.what, f.goal, f.measured, verdict(f.met)})
	}
	return rows
}

// rows returns a series as text, the head first.
func (s series) rows() [][]string {
	head, costs := []string{s.of}, []string{"CPU µs each"}
	for _, p := range s.points {
		head = append(head, fmt.Sprint(p.size))
		costs = append(costs, fmt.Sprintf("%.1f", p.cost))
	}
	return [][]string{head, costs}
}

// print writes the report for a terminal.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", r.machine)
	for _, t := range r.tables {
		fmt.Fprintf(w, "\n%s\n", t.title)
		printRows(w, t.rows())
	}
	for _, s := range r.growth {
		fmt.Fprintln(w)
		printRows(w, s.rows())
	}
	if len(r.findings) > 0 {
		fmt.Fprintln(w)
		printRows(w, r.goals())
	}
	for _, what := range r.notes {
		fmt.Fprintln(w, "  without a goal,", what)
	}
	for _, why := range r.skipped {
		fmt.Fprintln(w, "skipped:", why)
	}
}

func printRows(w io.Writer, rows [][]string) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(columns, "  "+strings.Join(row, "\t"))
	}
	_ = columns.Flush()
}
