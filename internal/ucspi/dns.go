package ucspi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// resolvConf names the servers, as it does for tcpserver(1).
const resolvConf = "/etc/resolv.conf"

// DNS asks name servers, and nothing else: no hosts file. The zero DNS asks
// those of resolv.conf, which it reads for each question.
type DNS struct {
	Servers []string // host:port, instead of those of resolv.conf
}

// tries are the times that one server has for its answer, from round to round.
var tries = [...]time.Duration{time.Second, 3 * time.Second, 11 * time.Second}

// hostOf returns the name of an address, as DNS gives it: that of the first
// PTR record, "" when there is none.
func (d *DNS) hostOf(ctx context.Context, ip netip.Addr) string {
	name, err := dns.ReverseAddr(ip.String())
	if err != nil {
		return ""
	}
	for _, record := range d.ask(ctx, name, dns.TypePTR) {
		if ptr, ok := record.(*dns.PTR); ok {
			return ptr.Ptr
		}
	}
	return ""
}

// confirms tells whether ip is among the addresses of a host that hostOf
// returned.
func (d *DNS) confirms(ctx context.Context, host string, ip netip.Addr) bool {
	kind := dns.TypeA
	if ip.Is6() {
		kind = dns.TypeAAAA
	}
	for _, record := range d.ask(ctx, host, kind) {
		if address, ok := addressOf(record); ok && address == ip {
			return true
		}
	}
	return false
}

func addressOf(record dns.RR) (netip.Addr, bool) {
	var ip net.IP
	switch record := record.(type) {
	case *dns.A:
		ip = record.A
	case *dns.AAAA:
		ip = record.AAAA
	}
	address, ok := netip.AddrFromSlice(ip)
	return address.Unmap(), ok
}

// ask returns the records of an answer, none when there is no answer by ctx's
// deadline.
func (d *DNS) ask(ctx context.Context, name string, kind uint16) []dns.RR {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	servers := d.servers()
	for _, try := range tries {
		for _, server := range servers {
			if ctx.Err() != nil {
				return nil
			}
			if answer, err := exchange(ctx, server, question, try); err == nil {
				return answer
			}
		}
	}
	return nil
}

func (d *DNS) servers() []string {
	if d.Servers != nil {
		return d.Servers
	}
	config, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil || len(config.Servers) == 0 {
		return []string{"127.0.0.1:53"} // resolver(3)'s default
	}
	var servers []string
	for _, server := range config.Servers {
		servers = append(servers, net.JoinHostPort(server, config.Port))
	}
	return servers
}

// exchange asks one server once, by TCP too when its answer does not fit into
// a datagram. A server that fails or refuses is an error, a name that does
// not exist is not.
func exchange(ctx context.Context, server string, question *dns.Msg, timeout time.Duration) ([]dns.RR, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, _, err := (&dns.Client{Timeout: timeout}).ExchangeContext(ctx, question, server)
	if err == nil && answer.Truncated {
		answer, _, err = (&dns.Client{Net: "tcp", Timeout: timeout}).ExchangeContext(ctx, question, server)
	}
	if err != nil {
		return nil, err
	}
	if len(answer.Question) != 1 || !sameQuestion(answer.Question[0], question.Question[0]) {
		return nil, errors.New("dns: the answer is to another question")
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("dns: %s", dns.RcodeToString[answer.Rcode])
	}
	return slices.DeleteFunc(answer.Answer, func(record dns.RR) bool {
		return record.Header().Class != dns.ClassINET
	}), nil
}

// sameQuestion tells whether a server repeats the question, in whichever case.
func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}
