package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/internal/status"
)

func newStatus() *cobra.Command {
	var socket string
	var asJSON, watched bool
	cmd := &cobra.Command{
		Use:   "status [--json | --watch] [-s FILE]",
		Short: "Show the sessions of a running ucspid, its limits and its counts",
		Long: `Show the sessions of a running ucspid, its limits, and what it has done. It is
for root and for the members of the group ucspid-status.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case asJSON && watched:
				return errors.New("options --json and --watch: only one of them can be shown")
			case watched:
				return watch(socket, os.Stdout)
			}
			report, err := ask(socket)
			if err != nil {
				return err
			}
			if err := show(cmd.OutOrStdout(), report, asJSON); err != nil {
				return exit.Retry(err)
			}
			return nil
		},
	}
	addSocket(cmd, &socket)
	flags := cmd.Flags()
	flags.BoolVar(&asJSON, "json", false, "write it as JSON")
	flags.BoolVarP(&watched, "watch", "w", false, "show it again every two seconds, until ^C")
	return cmd
}

// ask returns what the server behind a socket says, and what the kernel knows
// beside it.
func ask(socket string) (*status.Report, error) {
	report, err := status.Ask(socket)
	if err != nil {
		return nil, unanswered(socket, err)
	}
	slices.SortFunc(report.Sessions, func(a, b status.Session) int { return a.Started.Compare(b.Started) })
	addTraffic(report.Sessions)
	return report, nil
}

// show writes a report. What is no terminal gets whole lines.
func show(w io.Writer, report *status.Report, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(report)
	}
	columns, _ := sizeOf(os.Stdout)
	_, err := io.WriteString(w, strings.Join(lines(report, time.Now(), columns), "\n")+"\n")
	return err
}

// lines returns a report for people: what there is to say of the server, and a
// table of its sessions. No line is longer than so many columns, 0 being no
// limit.
func lines(r *status.Report, now time.Time, columns int) []string {
	all := summary(r, now)
	if len(r.Sessions) > 0 {
		all = append(append(all, ""), table(sessionRows(r.Sessions, now), columns)...)
	}
	for i, line := range all {
		all[i] = cut(line, columns)
	}
	return all
}

// summary returns what there is to say of the server, a word before each line.
func summary(r *status.Report, now time.Time) []string {
	var all []string
	add := func(word string, parts ...string) {
		if len(parts) > 0 {
			all = append(all, fmt.Sprintf("%-9s %s", word, strings.Join(parts, ", ")))
		}
	}
	add("server", "ucspid "+r.Version, fmt.Sprintf("process %d", r.PID), "counting for "+ageText(now.Sub(r.Since)))
	add("sessions", fmt.Sprintf("%d of %d", len(r.Sessions), r.Limits.Sessions))
	add("counts", fmt.Sprintf("%d begun, %d denied, %d dropped", r.Counts.Begun, r.Counts.Denied, r.Counts.Dropped))
	add("refused", refusals(r.Counts.Refused)...)
	add("limits", limits(&r.Limits)...)
	add("rules", rulesText(r.Rules, now)...)
	add("hosts", busiest(r.Sessions, r.Limits.HostBits)...)
	add("networks", busiest(r.Sessions, r.Limits.NetworkBits)...)
	return all
}

// sessionRows returns the table of sessions, its titles first.
func sessionRows(sessions []status.Session, now time.Time) [][]string {
	rows := [][]string{{"ID", "AGE", "IN", "OUT", "PEER", "NAME", "RULE"}}
	for _, one := range sessions {
		rows = append(rows, []string{
			fmt.Sprint(one.ID), ageText(now.Sub(one.Started)), sizeText(one.In), sizeText(one.Out),
			one.Peer.Addr().String(), nameText(one.Name), ruleText(one.Rule),
		})
	}
	return rows
}
