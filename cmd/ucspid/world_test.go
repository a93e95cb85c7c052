package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// world is a network of 127.0.0.0/8 with a name server and ident servers, in
// which peers have names of every kind. Its servers answer as told; that real
// ones do the same is shown by test/02-names.
type world struct {
	block string              // the first three bytes of all its addresses
	zone  map[string][]string // the answers, by the name and the type of the question
}

// The last bytes of the addresses that are no peers.
const (
	hereNumber   = 1  // of the servers
	serverNumber = 53 // of the name server
)

// character is a peer of the world.
type character struct {
	number   int                 // the last byte of its address
	zone     map[string][]string // what the name server knows of it; @ is its address, PTR the name for it
	host     string              // TCPREMOTEHOST, "" for unknown
	lies     bool                // so -p drops the host
	ident    string              // what its ident server answers; without one, connections are refused
	hangs    bool                // its ident server keeps the connection after that
	info     string              // TCPREMOTEINFO
	infoSaid bool                // and whether it is known
}

var longName = strings.Repeat(strings.Repeat("l", 62)+".", 3) + "long.example"

// characters are the peers of the world. What is said of a peer here is what
// tcpserver makes of it.
var characters = []character{
	{
		number: 10, host: "mail.example.org",
		zone:  map[string][]string{"PTR": {"PTR mail.example.org."}, "mail.example.org. A": {"A @"}},
		ident: "6193, 23 : USERID : UNIX : joe\r\n", info: "joe", infoSaid: true,
	}, {
		number: 11, host: "liar.example.org", lies: true,
		zone:  map[string][]string{"PTR": {"PTR liar.example.org."}, "liar.example.org. A": {"A 127.0.0.1"}},
		ident: "6193,23:ERROR:NO-USER\r\n", infoSaid: true,
	}, {
		number: 12, host: "nowhere.example", lies: true,
		zone:  map[string][]string{"PTR": {"PTR nowhere.example."}},
		ident: "6193,23:USERID:OTHER,US-ASCII: a b\tc:d \r\n", info: "abc:d", infoSaid: true,
	}, {
		number: 13, // neither name nor ident
	}, {
		number: 14, host: "nothing.example", lies: true, // there are no addresses, only a name
		zone:  map[string][]string{"PTR": {"PTR nothing.example."}, "nothing.example. A": {"TXT none"}},
		ident: "::: joe\x00RELAYCLIENT=\r\n", info: "joe", infoSaid: true,
	}, {
		number: 15, host: `odd\040\045\303\251\056\134\042.example`,
		zone: map[string][]string{
			"PTR":                                 {`PTR Odd\032%\195\169\.\\\034.EXAMPLE.`},
			`odd\032%\195\169\.\\\034.example. A`: {"A @"},
		},
		ident: ":::\x01\xff%\"\r\n", info: "\x01\xff%\"", infoSaid: true,
	}, {
		number: 16, host: "first.example",
		zone: map[string][]string{
			"PTR":              {"PTR first.example.", "PTR second.example."},
			"first.example. A": {"A 127.0.0.1", "A @", "A 127.0.0.2"},
		},
		ident: ":::" + strings.Repeat("x", 300), hangs: true, info: strings.Repeat("x", 257), infoSaid: true,
	}, {
		number: 17, host: "customer.example.org",
		zone: map[string][]string{
			"PTR":                     {"CNAME 17.x.example.", "PTR 17.x.example. customer.example.org."},
			"customer.example.org. A": {"CNAME other.example.", "A other.example. @"},
		},
		ident: ":::joe", // and no end of the line
	}, {
		number: 18, host: longName,
		zone:  map[string][]string{"PTR": {"PTR " + longName + "."}, longName + ". A": {"A @"}},
		ident: strings.Repeat(" ", 700) + "6193,23:USERID" + strings.Repeat("\t", 100) + ":UNIX:far\r\n",
		info:  "far", infoSaid: true,
	}, {
		number: 19, host: "large.example", lies: true, // too large for a datagram
		zone:  map[string][]string{"PTR": slices.Repeat([]string{"PTR large.example."}, 100), "large.example. A": slices.Repeat([]string{"A 127.0.0.1"}, 200)},
		ident: "\r\n", infoSaid: true,
	}, {
		number: 20, host: ".", lies: true,
		zone:  map[string][]string{"PTR": {"PTR ."}},
		ident: ":::joe\n", info: "joe", infoSaid: true,
	}, {
		number: 21, // an answer, but no name
		zone:   map[string][]string{"PTR": {"TXT trick.example"}},
		ident:  strings.Repeat("z", 400), // and no colons
	}, {
		number: 22, host: "localhost", // a name of the hosts file, which is not asked
		zone:  map[string][]string{"PTR": {"PTR localhost."}, "localhost. A": {"A @"}},
		ident: ":::" + strings.Repeat("y", 99) + "\n", info: strings.Repeat("y", 99), infoSaid: true,
	},
}

// oddities are peers of which tcpserver knows more than ucspid.
var oddities = []character{
	{number: 101, host: "@", zone: map[string][]string{"PTR": {"PTR @."}}}, // its name is its address
	{number: 102, ident: strings.Repeat(" ", 1000) + ":::wordy\n", info: "wordy", infoSaid: true},
}

// newWorld starts the servers of a world, until the test ends.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{zone: make(map[string][]string)}
	udp, tcp := w.listen(t)
	w.zone[w.reverse(hereNumber)+" PTR"] = []string{"PTR Here.Example."}
	for _, c := range slices.Concat(characters, oddities) {
		c.settle(t, w)
	}
	for _, server := range []*dns.Server{{PacketConn: udp, Handler: dns.HandlerFunc(w.answer)}, {Listener: tcp, Handler: dns.HandlerFunc(w.answer)}} {
		go func() { _ = server.ActivateAndServe() }()
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return w
}

// listen finds a block of addresses that is free, and opens the sockets of its
// name server.
func (w *world) listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		w.block = fmt.Sprintf("127.%d.%d.", 1+rand.IntN(250), rand.IntN(256))
		udp, err := net.ListenPacket("udp", w.ip(serverNumber)+":53")
		if err != nil {
			continue
		}
		if tcp, err := net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	missing(t, "this user, or this machine, lets nobody listen on port 53")
	return nil, nil
}

// peer returns the character at an address.
func (w *world) peer(number int) character {
	for _, c := range slices.Concat(characters, oddities) {
		if c.number == number {
			c.host = strings.Replace(c.host, "@", w.ip(number), 1)
			return c
		}
	}
	return character{number: number}
}

func (w *world) ip(number int) string { return fmt.Sprint(w.block, number) }

// reverse returns the name under which the name of an address stands.
func (w *world) reverse(number int) string {
	name, _ := dns.ReverseAddr(w.ip(number))
	return name
}

// environ is what makes a server ask our name server.
func (w *world) environ() []string {
	return append(os.Environ(), "DNSCACHEIP="+w.ip(serverNumber))
}

// answer is the work of the name server.
func (w *world) answer(out dns.ResponseWriter, question *dns.Msg) {
	reply := new(dns.Msg).SetReply(question)
	q := question.Question[0]
	records, found := w.zone[canonical(q.Name)+" "+dns.TypeToString[q.Qtype]]
	if !found {
		reply.Rcode = dns.RcodeNameError
	}
	for _, text := range records {
		owner, record := q.Name, ". "+text
		if words := strings.Fields(text); len(words) == 3 {
			owner, record = words[1], ". "+words[0]+" "+words[2]
		}
		rr, err := dns.NewRR(record)
		if err != nil {
			panic(err)
		}
		rr.Header().Name = owner
		reply.Answer = append(reply.Answer, rr)
	}
	if out.LocalAddr().Network() == "udp" {
		reply.Truncate(dns.MinMsgSize)
	}
	_ = out.WriteMsg(reply)
}

// canonical returns a name as it comes out of a message, in lower case.
func canonical(name string) string {
	var wire [255]byte
	if _, err := dns.PackDomainName(name, wire[:], 0, nil, false); err != nil {
		panic(err)
	}
	name, _, err := dns.UnpackDomainName(wire[:], 0)
	if err != nil {
		panic(err)
	}
	return strings.ToLower(name)
}

// settle tells the servers about a character.
func (c *character) settle(t *testing.T, w *world) {
	t.Helper()
	for question, records := range c.zone {
		if question == "PTR" {
			question = w.reverse(c.number) + " PTR"
		} else {
			name, kind, _ := strings.Cut(question, " ")
			question = canonical(name) + " " + kind
		}
		for _, record := range records {
			w.zone[question] = append(w.zone[question], strings.Replace(record, "@", w.ip(c.number), 1))
		}
	}
	if c.ident == "" {
		return
	}
	l, err := net.Listen("tcp", w.ip(c.number)+":113")
	if err != nil {
		missing(t, "this user, or this machine, lets nobody listen on port 113")
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.identify(conn, w.ip(hereNumber))
		}
	}()
}

// identQuery is how tcpserver asks, byte for byte.
var identQuery = regexp.MustCompile(`^[0-9]+ , [0-9]+\r\n$`)

// identify is the work of an ident server: an answer to a question from a
// server of the world.
func (c *character) identify(conn net.Conn, from string) {
	defer conn.Close()
	asker, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	in := bufio.NewReader(conn)
	query, _ := in.ReadString('\n')
	if !identQuery.MatchString(query) || asker != from {
		fmt.Fprintf(conn, ":::asked %q from %s\r\n", query, asker)
		return
	}
	_, _ = conn.Write([]byte(c.ident))
	if c.hangs {
		_, _ = in.ReadByte() // until the other side has gone
	}
}
