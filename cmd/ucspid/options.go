package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
	"ucspid/policy"
)

const usage = `usage: ucspid [options] program [arg ...]

Serves the sockets that systemd passes: judges each peer by the rules and runs
program on the connection. The letters are those of tcpserver(1) and may be
bundled (-vRHl0); of two that contradict each other the last one counts.

  -q, --quiet              say nothing
  -Q, --errors             say only errors (default)
  -v, --verbose            say every event
  -c, --max-sessions n     run at most n programs at once (40); @FILE: the
                           number is the first line of FILE
  -C, --per-host n[:text]  at most n at once of one host; text is for the rest
      --per-network n      at most n at once of one network
      --host-bits a:b      a host is a bits of an IPv4 address, b of IPv6 (32:64)
      --network-bits a:b   likewise a network (24:48)
      --rate n/period      at most n of one host in a time such as 1m, on average
      --network-rate n/period
                           likewise of one network
      --reserve n          keep n of -c for peers that a rule trusts
      --trust name         a rule trusts by setting the variable name, too, such
                           as RELAYCLIENT
      --refuse-with smtp   say so in SMTP to whom a limit refuses
      --refuse-denied      and to whom a rule denies
  -x, --rules file         judge by the rules of this cdb, see ucspidctl(8)
  -X, --rules-optional     with -x: allow everybody while file does not exist
      --proxy-from nets    in connections from these networks, such as
                           192.0.2.25,2001:db8::/64, a balancer's header (PROXY
                           protocol) comes first and names the client
  -B, --banner text        write text first
  -d, --delay              leave Nagle's algorithm alone (default)
  -D, --no-delay           set TCP_NODELAY
  -o, --keep-ip-options    leave IPv4 options such as source routes
  -O, --kill-ip-options    remove them (default)
  -h, --remote-host        look up TCPREMOTEHOST (default)
  -H, --no-remote-host     do not
  -p, --paranoid           drop a TCPREMOTEHOST whose addresses lack the peer's
  -P, --no-paranoid        do not (default)
  -l, --local-name name    TCPLOCALHOST is name, do not look it up; @FILE: the
                           first line of FILE
  -r, --remote-info        ask for TCPREMOTEINFO by ident
  -R, --no-remote-info     do not (default: only where a rule depends on it)
  -t, --info-timeout s     seconds for ident (26, within --lookup-timeout)
      --lookup-timeout s   seconds for all lookups of a connection (5, or -t)
  -1, --print-port         print the local port on stdout
      --listen addr        listen on addr, without systemd: 127.0.0.1:2525
      --check              check options, rules and program, and exit
      --help, --version    print this, or the version, and exit

In place of tcpserver's -u, -g, -U: User= and Group= of the unit; of -b:
Backlog= of the socket. Exit codes: 0 asked to stop, 100 wrong usage or set-up,
111 temporary error. The manual is ucspid(8).
`

// options is the command line.
type options struct {
	verbosity     ucspi.Verbosity
	maxSessions   int
	limits        limits
	rules         string
	rulesOptional bool
	proxyFrom     []netip.Prefix
	banner        string
	noDelay       bool
	keepOptions   bool
	remoteHost    ucspi.Ask
	paranoid      bool
	localName     policy.Name
	remoteInfo    ucspi.Ask
	infoTimeout   time.Duration
	lookupTimeout time.Duration
	printPort     bool
	listen        []string
	check         bool
	help          bool
	version       bool
	program       []string // and its arguments
}

// The defaults of tcpserver(1), but for the lookups' time: it has none.
const (
	defaultMaxSessions   = 40
	defaultInfoTimeout   = 26 * time.Second
	defaultLookupTimeout = 5 * time.Second
)

// maxMaxSessions is as many processes as Linux has ids for.
const maxMaxSessions = 1 << 22

// maxTimeout is longer than any client waits, in seconds.
const maxTimeout = 24 * 60 * 60

// parseOptions reads the command line up to the program. An error is of the
// usage.
func parseOptions(args []string) (*options, error) {
	o := &options{
		maxSessions: defaultMaxSessions,
		limits:      defaultLimits(),
		remoteHost:  ucspi.AskAlways,
		infoTimeout: defaultInfoTimeout,
	}
	flags := pflag.NewFlagSet("ucspid", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SetInterspersed(false)
	o.define(flags)
	if err := flags.Parse(args); err != nil {
		return nil, usageError(err)
	}
	if o.lookupTimeout == 0 {
		o.lookupTimeout = defaultLookupTimeout
		if flags.Changed("info-timeout") { // who sets it means it
			o.lookupTimeout = max(o.lookupTimeout, o.infoTimeout)
		}
	}
	o.program = flags.Args()
	if len(o.program) == 0 && !o.help && !o.version {
		return nil, exit.Advise(errors.New("program: none was given"), "usage: ucspid [options] program [arg ...], see ucspid --help")
	}
	return o, o.limits.check(o)
}

// define lists the options, in the order of the usage.
func (o *options) define(flags *pflag.FlagSet) {
	letter := func(letter, name string, set func()) {
		flags.VarPF(choice{set}, name, letter, "").NoOptDefVal = "true"
	}
	value := func(letter, name string, set func(string) error) {
		flags.VarP(argument{set}, name, letter, "")
	}
	letter("q", "quiet", func() { o.verbosity = ucspi.Quiet })
	letter("Q", "errors", func() { o.verbosity = ucspi.ErrorsOnly })
	letter("v", "verbose", func() { o.verbosity = ucspi.Verbose })
	value("c", "max-sessions", o.setMaxSessions)
	o.limits.define(value, letter)
	value("x", "rules", o.setRules)
	letter("X", "rules-optional", func() { o.rulesOptional = true })
	value("", "proxy-from", o.addProxyFrom)
	flags.StringVarP(&o.banner, "banner", "B", "", "")
	letter("d", "delay", func() { o.noDelay = false })
	letter("D", "no-delay", func() { o.noDelay = true })
	letter("o", "keep-ip-options", func() { o.keepOptions = true })
	letter("O", "kill-ip-options", func() { o.keepOptions = false })
	letter("h", "remote-host", func() { o.remoteHost = ucspi.AskAlways })
	letter("H", "no-remote-host", func() { o.remoteHost = ucspi.AskNever })
	letter("p", "paranoid", func() { o.paranoid = true })
	letter("P", "no-paranoid", func() { o.paranoid = false })
	value("l", "local-name", o.setLocalName)
	letter("r", "remote-info", func() { o.remoteInfo = ucspi.AskAlways })
	letter("R", "no-remote-info", func() { o.remoteInfo = ucspi.AskNever })
	value("t", "info-timeout", seconds(&o.infoTimeout, 0))
	value("", "lookup-timeout", seconds(&o.lookupTimeout, 1))
	letter("1", "print-port", func() { o.printPort = true })
	value("", "listen", o.addListen)
	letter("", "check", func() { o.check = true })
	letter("", "help", func() { o.help = true })
	letter("", "version", func() { o.version = true })
	refuse(flags)
}

func (o *options) setMaxSessions(text string) (err error) {
	if text, err = orFirstLine(text); err == nil {
		o.maxSessions, err = number(text, 1, maxMaxSessions)
	}
	return err
}

// setRules refuses an empty name, which a variable that is not set leaves:
// without rules everybody would be let in.
func (o *options) setRules(path string) error {
	if path == "" {
		return errors.New("the name of the file is empty")
	}
	o.rules = path
	return nil
}

func (o *options) addProxyFrom(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		network, err := parseNetwork(part)
		// Peers are never IPv4-mapped: such a network would hold nobody.
		if err != nil || network.Addr().Is4In6() {
			return fmt.Errorf("%q is not a network, such as 192.0.2.0/24 or 2001:db8::/64", part)
		}
		o.proxyFrom = append(o.proxyFrom, network)
	}
	return nil
}

// parseNetwork takes an address as a network of one.
func parseNetwork(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		text = fmt.Sprintf("%s/%d", text, ip.BitLen())
	}
	return netip.ParsePrefix(text)
}

func (o *options) addListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address and a port, such as 127.0.0.1:2525", address)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return fmt.Errorf("%q is not an IP address", host)
	}
	if _, err := number(port, 0, 65535); err != nil {
		return fmt.Errorf("port: %w", err)
	}
	o.listen = append(o.listen, address)
	return nil
}

func (o *options) setLocalName(text string) error {
	text, err := orFirstLine(text)
	if strings.Contains(text, "\x00") {
		return errors.New("a name holds no NUL")
	}
	o.localName = policy.Known(text)
	return err
}

func seconds(d *time.Duration, least int) func(string) error {
	return func(text string) error {
		n, err := number(text, least, maxTimeout)
		*d = time.Duration(n) * time.Second
		return err
	}
}

// number reads a decimal number and nothing else.
func number(text string, least, most int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || int(n) < least || int(n) > most {
		return 0, fmt.Errorf("%q is not a number from %d to %d", text, least, most)
	}
	return int(n), nil
}

// maxControlLine bounds the line that is read of a control file.
const maxControlLine = 1024

// orFirstLine returns text, or where it is @FILE the first line of that file,
// without blanks around it, as qmail reads its control files.
func orFirstLine(text string) (string, error) {
	path, isFile := strings.CutPrefix(text, "@")
	if !isFile {
		return text, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, maxControlLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}
