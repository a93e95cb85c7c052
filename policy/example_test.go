package policy_test

import (
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ucspid/policy"
)

// Rules may be judged by as they are read, before they are compiled.
func ExampleDecide() {
	rules, err := policy.Parse(strings.NewReader(`# our own network may relay
10.1.:allow,RELAYCLIENT=""
=.dialup.example:deny
:allow,DATABYTES="10000000"
`))
	if err != nil {
		log.Fatal(err)
	}
	peers := []policy.Peer{
		{IP: netip.MustParseAddr("10.1.2.3")},
		{IP: netip.MustParseAddr("192.0.2.1"), Host: policy.Known("ppp7.dialup.example")},
		{IP: netip.MustParseAddr("2001:db8::25")},
	}
	for _, p := range peers {
		decision, err := policy.Decide(p, rules)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s by %q, %q\n", p.IP, decision.Verdict, decision.Rule, decision.Env)
	}
	// Output:
	// 10.1.2.3: allow by "10.1.", ["RELAYCLIENT="]
	// 192.0.2.1: deny by "=.dialup.example", []
	// 2001:db8::25: allow by "", ["DATABYTES=10000000"]
}

// A daemon asks the file for its rules at every connection: what was compiled
// meanwhile counts.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "rules")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := &policy.File{Path: filepath.Join(dir, "tcp.smtp.cdb")}

	for _, text := range []string{"127.:allow\n", "127.:deny\n"} {
		rules, err := policy.Parse(strings.NewReader(text))
		if err != nil {
			log.Fatal(err)
		}
		if err := policy.WriteFile(file.Path, filepath.Join(dir, "tcp.smtp.tmp"), rules); err != nil {
			log.Fatal(err)
		}

		database, err := file.Database(time.Now())
		if err != nil {
			log.Fatal(err) // nobody may be let in
		}
		decision, err := policy.Decide(policy.Peer{IP: netip.MustParseAddr("127.0.0.1")}, database)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(decision.Verdict)
	}
	// Output:
	// allow
	// deny
}

// The keys of a peer, in the order in which rules are searched for.
func ExampleKeys() {
	for key := range policy.Keys(policy.Peer{
		IP:   netip.MustParseAddr("192.0.2.1"),
		Host: policy.Known("mail.example.org"),
	}, policy.Lengths{}) {
		fmt.Printf("%q\n", key)
	}
	// Output:
	// "192.0.2.1"
	// "=mail.example.org"
	// "192.0.2."
	// "192.0."
	// "192."
	// "=.example.org"
	// "=.org"
	// "="
	// ""
}

// A line that tcprules refuses is named with its number and the reason.
func ExampleParse_syntaxError() {
	_, err := policy.Parse(strings.NewReader("127.:allow\n10.1.:allow,RELAYCLIENT\n"))
	fmt.Println(err)
	// Output:
	// line 2: variable: no = after "RELAYCLIENT": "10.1.:allow,RELAYCLIENT"
}
