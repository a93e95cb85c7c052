package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/policy"
)

// explanation is what rules explain is asked.
type explanation struct {
	cdb, text string // one of them is read
	peer      policy.Peer
}

func newExplain() *cobra.Command {
	var e explanation
	var host, info string
	cmd := &cobra.Command{
		Use:   "explain [-x FILE.cdb | -f FILE] IP [--host HOST] [--info INFO]",
		Short: "Say how a peer is judged, and by which rule",
		Long: `Say how a peer is judged: each key that is tried, the rule that is hit with
its line in the text, and the variables that it sets. Nobody is asked: a host
name and an ident answer are known when they are given.

Exit codes: 0 allow, 1 deny, 100 wrong usage or rules, 111 unreadable rules.`,
		Example: `  ucspidctl rules explain 192.168.1.7
  ucspidctl rules explain -f /etc/tcp.smtp 203.0.113.9 --host mail.example.org`,
		Args:                  oneArgument("IP"),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			ip, err := netip.ParseAddr(args[0])
			if err != nil {
				return fmt.Errorf("IP %s: not an address", printable(args[0]))
			}
			e.peer.IP = ip
			if cmd.Flags().Changed("host") {
				e.peer.Host = policy.Known(host)
			}
			if cmd.Flags().Changed("info") {
				e.peer.Info = policy.Known(info)
			}
			if cmd.Flags().Changed("rules") && cmd.Flags().Changed("file") {
				return errors.New("options -x and -f: only one of them can be asked")
			}
			var out strings.Builder
			verdict, err := e.run(&out)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), out.String()); err != nil {
				return exit.Retry(err)
			}
			if verdict != policy.Allow {
				return exit.AnswerNo()
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&e.cdb, "rules", "x", defaultCDB, "the compiled rules, `FILE.cdb`")
	flags.StringVarP(&e.text, "file", "f", "", "instead, a text of rules, `FILE`")
	flags.StringVar(&host, "host", "", "the peer's name, `HOST` (TCPREMOTEHOST)")
	flags.StringVar(&info, "info", "", "the peer's ident answer, `INFO` (TCPREMOTEINFO)")
	return cmd
}

// run writes the explanation and returns what it comes to.
func (e *explanation) run(w io.Writer) (policy.Verdict, error) {
	rules, err := e.open()
	if err != nil {
		return policy.Deny, err
	}
	traced := &trace{Finder: rules}
	decision, err := policy.Decide(e.peer, traced)
	if err != nil {
		return policy.Deny, exit.Retry(err)
	}
	for _, address := range traced.misses {
		fmt.Fprintf(w, "no rule   %s\n", addressText(address))
	}
	otherwise := " (no rule says otherwise)"
	if decision.Matched {
		otherwise = ""
		fmt.Fprintf(w, "rule      %s\n", addressText(decision.Rule))
		fmt.Fprintf(w, "line      %s\n", e.source(decision))
	}
	for _, variable := range decision.Env {
		fmt.Fprintf(w, "variable  %s\n", printable(variable))
	}
	fmt.Fprintf(w, "verdict   %s%s\n", decision.Verdict, otherwise)
	return decision.Verdict, nil
}

// open returns the rules of the text or the cdb.
func (e *explanation) open() (policy.Finder, error) {
	if e.text != "" {
		return readRules(e.text)
	}
	return readDatabase(e.cdb)
}

// source returns where the rule of a decision is written. A cdb does not
// know; but the text from which it was compiled is mostly beside it.
func (e *explanation) source(d policy.Decision) string {
	path := e.text
	if path == "" {
		var named bool
		if path, named = strings.CutSuffix(e.cdb, ".cdb"); !named {
			return "unknown: no text beside " + e.cdb
		}
	}
	rules, err := readRules(path)
	if err != nil {
		return "unknown: " + err.Error()
	}
	rule := rules.Rule(d.Rule)
	if rule == nil || rule.Verdict != d.Verdict || !slices.Equal(rule.Env, d.Env) {
		return fmt.Sprintf("unknown: %s says otherwise, it was changed and not compiled", path)
	}
	return fmt.Sprintf("%s:%d: %s", path, rule.Line, printable(rule.String()))
}

// addressText shows an address; that of the rule for everybody is empty.
func addressText(address string) string {
	if address == "" {
		return `"" (everybody)`
	}
	return printable(address)
}

// trace notes the addresses for which there is no rule.
type trace struct {
	policy.Finder
	misses []string
}

func (t *trace) Find(key []byte) ([]byte, bool, error) {
	record, found, err := t.Finder.Find(key)
	if err == nil && !found {
		t.misses = append(t.misses, policy.AddressOf(string(key)))
	}
	return record, found, err
}
