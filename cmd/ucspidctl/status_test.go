package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucspid/internal/status"
	"ucspid/policy"
)

// at is when the reports of these tests are shown.
func at() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// crowded is a report with everything in it.
func crowded() *status.Report {
	number := func(n int) *int { return &n }
	size := func(n uint64) *uint64 { return &n }
	r := &status.Report{Summary: status.Summary{
		Version: "1.2.3", PID: 2670, Since: at().Add(-3 * time.Hour),
		Counts: status.Counts{Begun: 120, Denied: 8, Dropped: 1, Refused: map[string]uint64{"per-host": 7, "load": 2}},
		Limits: status.Limits{
			Sessions: 40, Reserve: 4, PerHost: number(5), PerNetwork: number(9), Rate: "30/1m", NetworkRate: "60/1m",
			HostBits: status.Bits{IP4: 32, IP6: 64}, NetworkBits: status.Bits{IP4: 24, IP6: 48},
		},
		Rules: &status.Rules{File: "/etc/tcp.smtp.cdb", Modified: at().Add(-100 * time.Hour)},
	}}
	add := func(id int, peer string, name, rule policy.Name, age time.Duration, in, out *uint64) {
		r.Sessions = append(r.Sessions, status.Session{
			ID: id, Peer: netip.MustParseAddrPort(peer), Name: name, Rule: rule, Started: at().Add(-age), In: in, Out: out,
		})
	}
	add(4194304, "192.0.2.1:40000", policy.Known("mail.example.org"), policy.Known("192.0.2."), 49*time.Hour, size(0), size(999))
	add(7, "192.0.2.1:40001", policy.Name{}, policy.Name{}, 59*time.Minute, size(1000), size(9_949))
	add(8, "192.0.2.7:40001", policy.Known("a.very.long.name.of.a.host.example.org"), policy.Known("=.host.example.org"), time.Minute, size(9_951), size(999_499))
	add(9, "[2001:db8:1111:2222:3333:4444:5555:6666]:1", policy.Name{}, policy.Known(""), 0, size(999_500), size(12_345_678_901))
	add(10, "[2001:db8:1111:2222::1]:1", policy.Known(""), policy.Known("2001:db8::/32"), 59*time.Second, nil, nil)
	return r
}

func TestStatusFits80Columns(t *testing.T) {
	want := `server    ucspid 1.2.3, process 2670, counting for 3h
sessions  5 of 40
counts    120 begun, 8 denied, 1 dropped
refused   2 load, 7 per-host
limits    5 a host, 9 a network, 30/1m a host, 60/1m a network, 4 reserved
rules     /etc/tcp.smtp.cdb, 4d old
hosts     2 of 192.0.2.1, 2 of 2001:db8:1111:2222::/64
networks  3 of 192.0.2.0/24, 2 of 2001:db8:1111::/48

     ID AGE   IN  OUT PEER                                   NAME      RULE
4194304  2d    0  999 192.0.2.1                              mail.exa+ 192.0.2.
      7 59m 1.0k 9.9k 192.0.2.1                              -         -
      8  1m  10k 999k 192.0.2.7                              a.very.l+ =.host.e+
      9  0s 1.0M  12G 2001:db8:1111:2222:3333:4444:5555:6666 -         (everybo+
     10 59s    -    - 2001:db8:1111:2222::1                  -         2001:db8+`
	if diff := cmp.Diff(strings.Split(want, "\n"), lines(crowded(), at(), 80)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNoLineIsLongerThanTheTerminal(t *testing.T) {
	for columns := 1; columns < 200; columns++ {
		for _, line := range lines(crowded(), at(), columns) {
			if len(line) > columns {
				t.Fatalf("%d columns of %d: %q", len(line), columns, line)
			}
		}
	}
	whole := strings.Join(lines(crowded(), at(), 0), "\n")
	if strings.Contains(whole, "+") || !strings.Contains(whole, "a.very.long.name.of.a.host.example.org =.host.example.org\n") {
		t.Errorf("what is no terminal gets\n%s", whole)
	}
}

func TestRulesThatLetNobodyInAreSaid(t *testing.T) {
	for want, rules := range map[string]*status.Rules{
		"none, everybody is let in":             nil,
		"a.cdb, NOBODY IS LET IN: corrupt cdb":  {File: "a.cdb", Modified: at(), Error: "corrupt cdb"},
		"a.cdb, not there, everybody is let in": {File: "a.cdb"},
		"a.cdb, 1h old":                         {File: "a.cdb", Modified: at().Add(-time.Hour)},
	} {
		got := lines(&status.Report{Summary: status.Summary{Rules: rules}}, at(), 0)
		if !strings.Contains(strings.Join(got, "\n"), fmt.Sprintf("\nrules     %s", want)) {
			t.Errorf("%+v is shown as %q", rules, got)
		}
	}
}
