package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// limits are the options about how many connections are taken, and of whom.
type limits struct {
	host, network policy.Width
	reserve       int
	terms         policy.Terms
	hostMessage   policy.Name
	refusals      ucspi.Refusals
}

func defaultLimits() limits {
	return limits{host: policy.Width{IP4: 32, IP6: 64}, network: policy.Width{IP4: 24, IP6: 48}}
}

// define lists the options, in the order of the usage.
func (l *limits) define(value func(letter, name string, set func(string) error), letter func(letter, name string, set func())) {
	value("C", "per-host", l.setPerHost)
	value("", "per-network", atMost(&l.terms.Network))
	value("", "host-bits", width(&l.host))
	value("", "network-bits", width(&l.network))
	value("", "rate", rate(&l.terms.HostRate))
	value("", "network-rate", rate(&l.terms.NetworkRate))
	value("", "reserve", l.setReserve)
	value("", "trust", l.setTrust)
	value("", "refuse-with", l.setRefuseWith)
	letter("", "refuse-denied", func() { l.refusals.Denied = true })
}

// setPerHost reads a number, and perhaps the text of tcpsvd(8), which ends
// with the end of the line spelled out.
func (l *limits) setPerHost(text string) error {
	n, message, hasMessage := strings.Cut(text, ":")
	if hasMessage {
		l.hostMessage = policy.Known(strings.TrimSuffix(strings.TrimSuffix(message, `\n`), `\r`))
	}
	return atMost(&l.terms.Host)(n)
}

func atMost(m *policy.Max) func(string) error {
	return func(text string) error {
		n, err := number(text, 1, maxMaxSessions)
		*m = policy.AtMost(n)
		return err
	}
}

func width(w *policy.Width) func(string) error {
	return func(text string) (err error) {
		ip4, ip6, _ := strings.Cut(text, ":")
		if w.IP4, err = number(ip4, 1, 32); err == nil {
			w.IP6, err = number(ip6, 1, 128)
		}
		if err != nil {
			err = fmt.Errorf("%q is not the bits of an IPv4 and of an IPv6 address, such as 24:48", text)
		}
		return err
	}
}

func rate(r *policy.Rate) func(string) error {
	return func(text string) (err error) {
		if *r, err = policy.ParseRate(text); err == nil && r.N == 0 {
			err = errors.New("of 0 nobody would be let in")
		}
		return err
	}
}

func (l *limits) setReserve(text string) (err error) {
	l.reserve, err = number(text, 1, maxMaxSessions)
	return err
}

func (l *limits) setTrust(name string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Errorf("%q is not the name of a variable", name)
	}
	l.terms.TrustBy = name
	return nil
}

func (l *limits) setRefuseWith(protocol string) error {
	l.refusals.SMTP = true
	if protocol != "smtp" {
		return fmt.Errorf("%q is not smtp, the only protocol there is", protocol)
	}
	return nil
}

// check finds limits that contradict each other.
func (l *limits) check(o *options) error {
	var wrong []error
	say := func(contradiction bool, format string, a ...any) {
		if contradiction {
			wrong = append(wrong, fmt.Errorf("option "+format, a...))
		}
	}
	host, hostSet := l.terms.Host.N()
	network, networkSet := l.terms.Network.N()
	hostRate, networkRate := l.terms.HostRate, l.terms.NetworkRate
	say(host > o.maxSessions, "-C: %d are more than the %d sessions of -c", host, o.maxSessions)
	say(network > o.maxSessions, "--per-network: %d are more than the %d sessions of -c", network, o.maxSessions)
	say(hostSet && networkSet && host > network, "-C: %d are more than the %d of --per-network", host, network)
	say(hostRate.N > 0 && networkRate.N > 0 && hostRate.Exceeds(networkRate), "--rate: %v is more than the %v of --network-rate", hostRate, networkRate)
	say(l.host.IP4 < l.network.IP4 || l.host.IP6 < l.network.IP6, "--host-bits: with %s a host is larger than a network, which has %s", bits(l.host), bits(l.network))
	say(l.reserve >= o.maxSessions, "--reserve: with %d of the %d sessions of -c reserved, none is left for strangers", l.reserve, o.maxSessions)
	say(l.reserve > 0 && o.rules == "", "--reserve: without -x no rule trusts anybody")
	say(l.reserve == 0 && l.terms.TrustBy != "", "--trust: without --reserve there is nothing to be trusted with")
	say(l.refusals.Denied && !l.refusals.SMTP, "--refuse-denied: without --refuse-with there is nothing to say")
	return errors.Join(wrong...)
}

func bits(w policy.Width) string { return fmt.Sprintf("%d:%d", w.IP4, w.IP6) }

// serverTerms returns the limits for peers of which the rules say nothing
// else: those of the options, as far as the environment says nothing else. A
// variable there that is no number is an error, as it is in an option.
func (l *limits) serverTerms() (policy.Terms, error) {
	var wrong []error
	for _, name := range []string{"MAXCONNIP", "MAXPERIP", "MAXCONNC", "MAXLOAD"} {
		if value, set := os.LookupEnv(name); set {
			_, err := number(value, 0, maxMaxSessions)
			wrong = append(wrong, inVariable(name, err))
		}
	}
	for _, name := range []string{"MAXRATEIP", "MAXRATEC"} {
		if value, set := os.LookupEnv(name); set {
			_, err := policy.ParseRate(value)
			wrong = append(wrong, inVariable(name, err))
		}
	}
	return l.terms.OfServer(os.Environ(), l.hostMessage), errors.Join(wrong...)
}

func inVariable(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("variable %s: %w", name, err)
}
