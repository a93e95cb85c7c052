package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// ruleTerms returns the terms for whom a rule with these variables is meant.
func ruleTerms(t *testing.T, server policy.Terms, variables string) policy.Terms {
	t.Helper()
	return server.For(decide(t, peer("192.0.2.1"), parse(t, ":allow"+variables+"\n")))
}

func TestLimitsOfARule(t *testing.T) {
	server := policy.Terms{Host: policy.AtMost(5), HostRate: policy.Rate{N: 30, Per: time.Minute}, TrustBy: "RELAYCLIENT"}
	at := policy.AtMost
	type limits struct {
		host, network, load   policy.Max
		hostRate, networkRate policy.Rate
		trusted               bool
	}
	own := limits{host: at(5), hostRate: server.HostRate}
	with := func(change func(*limits)) limits {
		l := own
		change(&l)
		return l
	}
	for variables, want := range map[string]limits{
		"":                                  own,
		`,MAXCONNIP="20"`:                   with(func(l *limits) { l.host = at(20) }),
		`,MAXCONNIP="0"`:                    with(func(l *limits) { l.host = at(0) }),
		`,MAXCONNIP=""`:                     with(func(l *limits) { l.host = at(0) }),
		`,MAXCONNIP="none"`:                 with(func(l *limits) { l.host = at(0) }),
		`,MAXCONNIP="7up"`:                  with(func(l *limits) { l.host = at(7) }),
		`,MAXCONNIP="-1"`:                   with(func(l *limits) { l.host = at(0) }),
		`,MAXCONNIP="99999999999999999999"`: with(func(l *limits) { l.host = policy.Max{} }),
		`,!MAXCONNIP`:                       with(func(l *limits) { l.host = policy.Max{} }),
		`,!MAXPERIP`:                        with(func(l *limits) { l.host = policy.Max{} }),
		`,MAXPERIP="20"`:                    with(func(l *limits) { l.host = at(20) }),
		`,MAXPERIP="0"`:                     with(func(l *limits) { l.host = policy.Max{} }),
		`,MAXCONNIP="1",MAXCONNIP="2"`:      with(func(l *limits) { l.host = at(2) }),
		`,!MAXCONNIP,MAXCONNIP="2"`:         with(func(l *limits) { l.host = at(2) }),
		`,MAXCONNC="15"`:                    with(func(l *limits) { l.network = at(15) }),
		`,MAXCONNC="0"`:                     with(func(l *limits) { l.network = at(0) }),
		`,MAXLOAD="350"`:                    with(func(l *limits) { l.load = at(350) }),
		`,MAXLOAD="0"`:                      own,
		`,MAXRATEIP="1/1s"`:                 with(func(l *limits) { l.hostRate = policy.Rate{N: 1, Per: time.Second} }),
		`,!MAXRATEIP`:                       with(func(l *limits) { l.hostRate = policy.Rate{} }),
		`,MAXRATEIP="often"`:                with(func(l *limits) { l.hostRate = policy.Rate{Per: time.Second} }),
		`,MAXRATEC="90/1h"`:                 with(func(l *limits) { l.networkRate = policy.Rate{N: 90, Per: time.Hour} }),
		`,UCSPID_TRUSTED=""`:                with(func(l *limits) { l.trusted = true }),
		`,RELAYCLIENT=""`:                   with(func(l *limits) { l.trusted = true }),
		`,!UCSPID_TRUSTED`:                  own,
		`,=""`:                              own,
		`,maxconnip="1",MAXCONNIP ="1"`:     own,
	} {
		terms := ruleTerms(t, server, variables)
		got := limits{terms.Host, terms.Network, terms.Load, terms.HostRate, terms.NetworkRate, terms.Trusted}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(limits{}, policy.Max{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", variables, diff)
		}
	}
}

func TestEnvironmentOfTheServer(t *testing.T) {
	terms := policy.Terms{Host: policy.AtMost(5), TrustBy: "RELAYCLIENT"}.OfServer([]string{
		"PATH=/bin", "MAXCONNIP=7", "MAXLOAD=350", "RELAYCLIENT=", "UCSPID_TRUSTED=", "odd",
	}, policy.Name{})
	host, _ := terms.Host.N()
	load, _ := terms.Load.N()
	if host != 7 || load != 350 || terms.Trusted {
		t.Errorf("%d of a host, a load of %d, trusted %t", host, load, terms.Trusted)
	}
}

// refusedBy returns refusals of all kinds, by their reasons.
func refusedBy(t *testing.T) map[policy.Reason]*policy.Refusal {
	t.Helper()
	all := make(map[policy.Reason]*policy.Refusal)
	for _, terms := range []policy.Terms{
		{Host: policy.AtMost(0)}, {Network: policy.AtMost(0)}, {Load: policy.AtMost(1)}, {HostRate: policy.Rate{Per: time.Second}},
	} {
		a := admission(1, 0)
		a.Take()
		refusal := a.Visit(peer("192.0.2.1").IP).Admit(terms, begin, 2)
		if refusal == nil {
			t.Fatalf("%+v refuse nobody", terms)
		}
		all[refusal.Reason] = refusal
	}
	return all
}

func TestMessages(t *testing.T) {
	const unknown = "\x00"
	refusals := refusedBy(t)
	for _, test := range []struct {
		env                               []string
		option                            policy.Name
		rule                              string
		denied, host, network, load, rate string
	}{
		{nil, policy.Name{}, "", unknown, unknown, unknown, unknown, unknown},
		{nil, policy.Known("o"), "", unknown, "o", unknown, unknown, unknown},
		{[]string{"DIEMSG=e"}, policy.Known("o"), "", "e", "e", "e", "e", "e"},
		{[]string{"DIEMSG_MAXCONNIP=e"}, policy.Known("o"), "", unknown, "e", unknown, unknown, unknown},
		{[]string{"DIEMSG=e"}, policy.Name{}, `,DIEMSG="r"`, "r", "r", "r", "r", "r"},
		{[]string{"DIEMSG_MAXCONNC=e"}, policy.Known("o"), `,DIEMSG="r"`, "r", "r", "r", "r", "r"},
		{nil, policy.Known("o"), `,DIEMSG="r",DIEMSG_MAXLOAD="l",DIEMSG_MAXCONNIP="i",DIEMSG_MAXCONNC="c"`, "r", "i", "c", "l", "r"},
		{[]string{"DIEMSG=e"}, policy.Known("o"), `,DIEMSG_MAXLOAD="l"`, "e", "e", "e", "l", "e"},
		{[]string{"DIEMSG=e"}, policy.Name{}, `,DIEMSG=""`, "", "", "", "", ""},
		{[]string{"DIEMSG=e"}, policy.Name{}, `,!DIEMSG`, "", "", "", "", ""},
	} {
		terms := ruleTerms(t, policy.Terms{}.OfServer(test.env, test.option), test.rule)
		for what, message := range map[string]struct {
			refusal *policy.Refusal
			want    string
		}{
			"denied": {nil, test.denied}, "host": {refusals[policy.PerHost], test.host}, "network": {refusals[policy.PerNetwork], test.network},
			"load": {refusals[policy.Overload], test.load}, "rate": {refusals[policy.HostTooOften], test.rate},
		} {
			got, known := terms.Message(message.refusal).Text()
			if !known {
				got = unknown
			}
			if got != message.want {
				t.Errorf("%q %v %s: %s gets %q, not %q", test.env, test.option, test.rule, what, got, message.want)
			}
		}
	}
}

func TestRuleThatUnsetsAVariable(t *testing.T) {
	rules := parse(t, "10.:allow,A=\"1\",!B,C=\"!D,E\",!F\n11.:allow,!A=\"1\"\n12.:deny,!A\n")
	for ip, want := range map[string][]string{
		"10.0.0.1": {"A=1", "!B", "C=!D,E", "!F"},
		"11.0.0.1": {"!A=1"}, // a variable of tcprules
		"12.0.0.1": {"!A"},
	} {
		if diff := cmp.Diff(want, decide(t, peer(ip), rules).Env); diff != "" {
			t.Errorf("%s (-want +got)\n%s", ip, diff)
		}
	}
	data := compile(t, ramDir(t), rules)
	var records []string
	for _, e := range entriesOf(data) {
		records = append(records, e.value)
	}
	want := []string{"+A=1\x00-B\x00+C=!D,E\x00-F\x00", "+!A=1\x00", "D\x00-A\x00"}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("the records (-want +got)\n%s", diff)
	}
	text, lost := database(t, data).Text()
	if lost > 0 || string(compile(t, ramDir(t), parse(t, string(text)))) != string(data) {
		t.Errorf("%d records are lost in\n%s", lost, text)
	}
}
