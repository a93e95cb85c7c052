package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// liar is a name server that no library would make: what it answers is made by
// hand.
type liar struct {
	udp    func(query query) // nil answers nothing
	tcp    func(net.Conn)    // nil refuses connections
	absent bool              // nobody is there
	letter string            // an option more

	host  string // TCPREMOTEHOST, "" for unknown
	apart bool   // tcpserver would believe another name, or wait for up to a minute
}

// query is a question that came in a datagram.
type query struct {
	socket net.PacketConn
	from   net.Addr
	bytes  []byte
}

func (q query) reply(message []byte) { _, _ = q.socket.WriteTo(message, q.from) }

// says answers each query with a message.
func says(made func(question []byte) []byte) func(query) {
	return func(q query) { q.reply(made(q.bytes)) }
}

// answers answers each query with these records.
func answers(records ...[]byte) func(query) {
	return says(func(question []byte) []byte { return forged(question, records...) })
}

// forged is an answer to a question, with these records.
func forged(question []byte, records ...[]byte) []byte {
	message := bytes.Clone(question)
	message[2] |= 0x80 // an answer
	binary.BigEndian.PutUint16(message[6:], uint16(len(records)))
	for _, record := range records {
		message = append(message, record...)
	}
	return message
}

// tooLarge is an answer that is to be asked for again, by TCP.
func tooLarge(question []byte) []byte {
	message := forged(question)
	message[2] |= 0x02
	return message
}

// failed is an answer with this code.
func failed(question []byte, code byte, records ...[]byte) []byte {
	message := forged(question, records...)
	message[3] |= code
	return message
}

// anotherID is a message with another id.
func anotherID(message []byte) []byte {
	message = bytes.Clone(message)
	message[0]++
	return message
}

// rr is a record of the name that was asked for.
func rr(kind, class uint16, data []byte) []byte { return rrOf([]byte{0xc0, 12}, kind, class, data) }

func rrOf(owner []byte, kind, class uint16, data []byte) []byte {
	record := bytes.Clone(owner)
	record = binary.BigEndian.AppendUint16(record, kind)
	record = binary.BigEndian.AppendUint16(record, class)
	record = binary.BigEndian.AppendUint32(record, 3600)
	record = binary.BigEndian.AppendUint16(record, uint16(len(data)))
	return append(record, data...)
}

func ptr(labels ...string) []byte { return rr(dns.TypePTR, dns.ClassINET, name(labels...)) }

// name is a name in a message, whatever is in its labels.
func name(labels ...string) []byte {
	var wire []byte
	for _, label := range labels {
		wire = append(wire, byte(len(label)))
		wire = append(wire, label...)
	}
	return append(wire, 0)
}

// times repeats a record.
func times(n int, record []byte) [][]byte {
	records := make([][]byte, n)
	for i := range records {
		records[i] = record
	}
	return records
}

// byTCP reads a query and answers it.
func byTCP(made func(question []byte) []byte) func(net.Conn) {
	return func(conn net.Conn) {
		if question := readQuery(conn); question != nil {
			message := made(question)
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
		}
	}
}

func readQuery(conn net.Conn) []byte {
	var length uint16
	if binary.Read(conn, binary.BigEndian, &length) != nil {
		return nil
	}
	question := make([]byte, length)
	if _, err := io.ReadFull(conn, question); err != nil {
		return nil
	}
	return question
}

// hang keeps a connection until the other side has gone.
func hang(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// dribble sends a byte now and then, until the other side has gone.
func dribble(c byte) func(net.Conn) {
	return func(conn net.Conn) {
		for {
			if _, err := conn.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// gush sends bytes as fast as they are taken, until the other side has gone.
func gush(c byte) func(net.Conn) {
	return func(conn net.Conn) {
		for {
			if _, err := conn.Write(bytes.Repeat([]byte{c}, 10000)); err != nil {
				return
			}
		}
	}
}

var largest = strings.Repeat(strings.Repeat("\xff", 63)+".", 3) + strings.Repeat("\xff", 61)

var liars = map[string]liar{
	"absent": {absent: true, apart: true},
	"silent": {apart: true},
	"fails":  {udp: says(func(q []byte) []byte { return failed(q, dns.RcodeServerFailure, ptr("a", "example")) }), apart: true},
	"refuses": {
		udp: says(func(q []byte) []byte { return failed(q, dns.RcodeRefused, ptr("a", "example")) }), apart: true,
	},
	"denies the name that it gives": {
		udp:  says(func(q []byte) []byte { return failed(q, dns.RcodeNameError, ptr("a", "example")) }),
		host: "a.example",
	},

	"escapes of a terminal": {
		udp:  answers(ptr("\x1b[31m\x1b]0;x\a", "example")),
		host: `\033\13331m\033\1350\073x\007.example`,
	},
	"another line for the log": {
		udp:  answers(ptr("x\nok 1 0:127.0.0.1:25 friend:192.0.2.1::1")),
		host: `x\012ok\0401\0400\072127\0560\0560\0561\07225\040friend\072192\0560\0562\0561\072\0721`,
	},
	"NUL":                     {udp: answers(ptr("a\x00RELAYCLIENT=", "example")), host: `a\000relayclient\075.example`},
	"an address":              {udp: answers(ptr("192", "0", "2", "1")), host: "192.0.2.1"},
	"an address in one label": {udp: answers(ptr("192.0.2.1")), host: `192\0560\0562\0561`},
	"an IPv6 address":         {udp: answers(ptr("2001:db8::1%lo")), host: `2001\072db8\072\0721\045lo`},
	"punycode":                {udp: answers(ptr("xn--gmil-63d", "example")), host: "xn--gmil-63d.example"},
	"Cyrillic":                {udp: answers(ptr("gm\u0430il", "example")), host: `gm\320\260il.example`},
	"the root":                {udp: answers(ptr()), host: "."},
	"as long as can be": {
		udp:  answers(ptr(strings.Split(largest, ".")...)),
		host: strings.ReplaceAll(largest, "\xff", `\377`),
	},

	"longer than can be":    {udp: answers(ptr(strings.Split(largest+"xx", ".")...))},
	"a pointer to itself":   {udp: answers(rr(dns.TypePTR, dns.ClassINET, []byte{0xc0, 66})), apart: true},
	"a pointer to the end":  {udp: answers(rr(dns.TypePTR, dns.ClassINET, []byte{0xff, 0xff}))},
	"a name that breaks":    {udp: answers(rr(dns.TypePTR, dns.ClassINET, []byte{9, 'a'}))},
	"no name":               {udp: answers(rr(dns.TypePTR, dns.ClassINET, nil))},
	"a name of another":     {udp: answers(rrOf(name("other", "example"), dns.TypePTR, dns.ClassINET, name("a", "example"))), host: "a.example"},
	"a name in another net": {udp: answers(rr(dns.TypePTR, dns.ClassCHAOS, name("a", "example")))},
	"CNAMEs in a circle": {udp: answers(
		rr(dns.TypeCNAME, dns.ClassINET, name("a", "example")),
		rrOf(name("a", "example"), dns.TypeCNAME, dns.ClassINET, []byte{0xc0, 12}))},

	"nothing at all":      {udp: says(func([]byte) []byte { return nil }), apart: true},
	"eleven bytes":        {udp: says(func(q []byte) []byte { return q[:11] }), apart: true},
	"the query":           {udp: says(func(q []byte) []byte { return q })},
	"answers not there":   {udp: says(func(q []byte) []byte { m := forged(q); m[6], m[7] = 0xff, 0xff; return m })},
	"10000 bytes of junk": {udp: says(func(q []byte) []byte { return append(q[:2:2], bytes.Repeat([]byte{0xff}, 10000)...) }), apart: true},
	"10000 bytes of names": {
		udp: answers(times(300, ptr("a", "example"))...), apart: true,
	},
	"another id": {udp: says(func(q []byte) []byte { return anotherID(forged(q, ptr("a", "example"))) }), apart: true},
	"another id at first": {
		udp: func(q query) {
			q.reply(anotherID(forged(q.bytes, ptr("lie", "example"))))
			q.reply(forged(q.bytes, ptr("a", "example")))
		},
		host: "a.example",
	},
	"another port at first": {
		udp: func(q query) {
			if other, err := net.ListenPacket("udp", q.socket.LocalAddr().(*net.UDPAddr).IP.String()+":0"); err == nil {
				defer other.Close()
				_, _ = other.WriteTo(forged(q.bytes, ptr("lie", "example")), q.from)
			}
			q.reply(forged(q.bytes, ptr("a", "example")))
		},
		host: "a.example",
	},
	"another question": {
		udp: says(func(q []byte) []byte {
			other := bytes.Clone(q)
			other[13] ^= 1
			return forged(other, ptr("lie", "example"))
		}),
		apart: true,
	},

	"TCP is refused":         {udp: says(tooLarge)},
	"TCP is closed":          {udp: says(tooLarge), tcp: func(net.Conn) {}},
	"TCP hangs":              {udp: says(tooLarge), tcp: hang, apart: true},
	"TCP dribbles":           {udp: says(tooLarge), tcp: dribble(0xff), apart: true},
	"TCP does not end":       {udp: says(tooLarge), tcp: gush(0xff)},
	"TCP has no message":     {udp: says(tooLarge), tcp: byTCP(func([]byte) []byte { return nil })},
	"TCP breaks off":         {udp: says(tooLarge), tcp: func(conn net.Conn) { _, _ = conn.Write([]byte{0xff, 0xff, 1}) }},
	"TCP is truncated":       {udp: says(tooLarge), tcp: byTCP(tooLarge)},
	"TCP has another id":     {udp: says(tooLarge), tcp: byTCP(func(q []byte) []byte { return anotherID(forged(q, ptr("a", "example"))) })},
	"TCP has 2400 names":     {udp: says(tooLarge), tcp: byTCP(func(q []byte) []byte { return forged(q, times(2400, ptr("many", "example"))...) }), host: "many.example"},
	"TCP has a pointer maze": {udp: says(tooLarge), tcp: byTCP(maze), apart: true},
	"-p: no address comes":   {letter: "p", udp: forward(nil), apart: true},
	"-p: addresses fail":     {letter: "p", udp: forward(says(func(q []byte) []byte { return failed(q, dns.RcodeServerFailure) })), apart: true},
	"-p: three bytes":        {letter: "p", udp: forward(answers(rr(dns.TypeA, dns.ClassINET, []byte{127, 0, 0})))},
	"-p: of another":         {letter: "p", udp: forward(answers(rr(dns.TypeA, dns.ClassINET, []byte{192, 0, 2, 1})))},
	"-p: CNAMEs in a circle": {letter: "p", udp: forward(answers(rr(dns.TypeCNAME, dns.ClassINET, name("a", "example"))))},
}

// forward gives every address a name, and has the name's addresses answered by
// someone else.
func forward(addresses func(query)) func(query) {
	return func(q query) {
		question := new(dns.Msg)
		switch err := question.Unpack(q.bytes); {
		case err == nil && question.Question[0].Qtype == dns.TypePTR:
			answers(ptr("a", "example"))(q)
		case addresses != nil:
			addresses(q)
		}
	}
}

// maze is an answer in which each name points to the one before, and all of them
// together are long.
func maze(question []byte) []byte {
	message := forged(question)
	previous := byte(12)
	n := uint16(0)
	for len(message) < 16000 {
		at := len(message) + 12
		message = append(message, rr(dns.TypePTR, dns.ClassINET, []byte{0xc0 | byte(at>>8), byte(at) + 2, 0xc0, previous})...)
		n++
	}
	binary.BigEndian.PutUint16(message[6:], n)
	return message
}

// serve has the liar answer in a world of its own.
func (l liar) serve(t *testing.T) *world {
	t.Helper()
	w := &world{}
	udp, tcp := w.listen(t)
	t.Cleanup(func() { udp.Close() })
	if l.absent {
		udp.Close()
	}
	go func() {
		for {
			buffer := make([]byte, 512)
			n, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			if l.udp != nil {
				l.udp(query{udp, from, buffer[:n]})
			}
		}
	}()
	if l.tcp == nil {
		tcp.Close()
		return w
	}
	serveTCP(t, tcp, l.tcp)
	return w
}

// serveTCP has each connection served, until the test ends.
func serveTCP(t *testing.T, l net.Listener, serve func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
}

// peerNumber is the last byte of the peer's address.
const peerNumber = 10

// lookupTime is what the servers are given, in seconds, and greetingTime long
// enough for what comes then on a busy machine, and too short for a lookup that
// keeps no time.
const (
	lookupTime   = "1"
	greetingTime = 10 * time.Second
)

// TestLyingNameServersHarmNobody has name servers do what they can.
func TestLyingNameServersHarmNobody(t *testing.T) {
	for name, l := range liars {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := l.serve(t)
			s := startOn(t, []string{w.ip(hereNumber) + ":0"}, w.environ(), "-vhR"+l.letter, "-l0", "--lookup-timeout", lookupTime, "probe")
			if host := s.learned(w, "TCPREMOTEHOST"); host != l.host {
				t.Errorf("TCPREMOTEHOST is %q, not %q", host, l.host)
			}
		})
	}
}

// TestLyingNameServersBesideTcpserver shows that tcpserver believes the same
// names.
func TestLyingNameServersBesideTcpserver(t *testing.T) {
	tcpserver := original(t, "tcpserver")
	for name, l := range liars {
		if l.apart {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := l.serve(t)
			believes(t, w, "TCPREMOTEHOST", l.host, tcpserver, "-vhR"+l.letter, "-l0")
		})
	}
}

// braggart is an ident server of the peer's own, which says what it likes.
type braggart struct {
	answer func(net.Conn)
	info   string // TCPREMOTEINFO, "" for unknown
	apart  bool   // tcpserver would listen for as long as it talks
}

// boasts answers with a text, and keeps the connection.
func boasts(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		hang(conn)
	}
}

var braggarts = map[string]braggart{
	"silent":                {answer: hang},
	"closes":                {answer: func(net.Conn) {}},
	"resets":                {answer: func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }},
	"breaks off":            {answer: boasts("6193, 23 : USERID : UNIX : jo")},
	"dribbles blanks":       {answer: dribble(' ')},
	"dribbles colons":       {answer: dribble(':')},
	"does not end":          {answer: gush(' '), apart: true},
	"does not come to it":   {answer: gush('x'), apart: true},
	"nothing but colons":    {answer: gush(':'), info: strings.Repeat(":", 257)},
	"10000 bytes":           {answer: boasts(":::" + strings.Repeat("x", 10000)), info: strings.Repeat("x", 257)},
	"escapes of a terminal": {answer: boasts(":::\x1b[31m\x1b]0;x\a\b\x7f\r\n"), info: "\x1b[31m\x1b]0;x\a\b\x7f"},
	"another line":          {answer: boasts(":::x\rok 1 0:127.0.0.1:25 friend:192.0.2.1::1\n"), info: "xok10:127.0.0.1:25friend:192.0.2.1::1"},
	"another variable":      {answer: boasts(":::joe\x00RELAYCLIENT=\x00\n"), info: "joe"},
	"Cyrillic":              {answer: boasts(":::j\u043ee\n"), info: "j\u043ee"},
	"an address":            {answer: boasts(":::192.0.2.1\n"), info: "192.0.2.1"},
	"a host":                {answer: boasts(":::@=mail.example\n"), info: "@=mail.example"},
}

// serve has the braggart answer for the peer, in a world without names.
func (b braggart) serve(t *testing.T) *world {
	t.Helper()
	w := liar{absent: true}.serve(t)
	l, err := net.Listen("tcp", w.ip(peerNumber)+":113")
	if err != nil {
		missing(t, "this user, or this machine, lets nobody listen on port 113")
	}
	serveTCP(t, l, b.answer)
	return w
}

// TestLyingIdentServersHarmNobody has ident servers do what they can.
func TestLyingIdentServersHarmNobody(t *testing.T) {
	for name, b := range braggarts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := b.serve(t)
			s := startOn(t, []string{w.ip(hereNumber) + ":0"}, w.environ(), "-vrHl0", "--lookup-timeout", lookupTime, "probe")
			if info := s.learned(w, "TCPREMOTEINFO"); info != b.info {
				t.Errorf("TCPREMOTEINFO is %q, not %q", info, b.info)
			}
		})
	}
}

// TestLyingIdentServersBesideTcpserver shows that tcpserver believes the same.
func TestLyingIdentServersBesideTcpserver(t *testing.T) {
	tcpserver := original(t, "tcpserver")
	for name, b := range braggarts {
		if b.apart {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := b.serve(t)
			believes(t, w, "TCPREMOTEINFO", b.info, tcpserver, "-vrHl0", "-t", lookupTime)
		})
	}
}

// believes wants tcpserver to have the same of a peer.
func believes(t *testing.T, w *world, name, want, tcpserver string, options ...string) {
	t.Helper()
	cmd := exec.Command(tcpserver, slices.Concat([]string{"-1"}, options, []string{w.ip(hereNumber), "0", "probe"})...)
	cmd.Env = w.environ()
	s := launch(t, cmd, w.ip(hereNumber))
	if got := variable(s.report(w.ip(peerNumber)).Env, name); got != want {
		t.Errorf("%s is %q, not %q", name, got, want)
	}
}

// learned lets a peer come, and returns a variable of its program, "" when there
// is none. Whatever that is, neither the log nor the environment is harmed, the
// peer has not waited for long, and the server serves the next one.
func (s *server) learned(w *world, name string) string {
	s.t.Helper()
	began := time.Now()
	env := s.report(w.ip(peerNumber)).Env
	if took := time.Since(began); took > greetingTime {
		s.t.Errorf("the greeting took %v", took)
	}
	s.report(w.ip(peerNumber))
	s.await(`(^ucspid: end .*){2}^ucspid: status: 0/40$`)
	if code := s.stop(); code != 0 {
		s.t.Errorf("exit code %d", code)
	}
	log := s.whole()
	for line := range strings.Lines(log) {
		harmless := func(c rune) bool { return ' ' <= c && c <= '~' }
		if text := strings.TrimSuffix(line, "\n"); strings.TrimFunc(text, harmless) != "" || len(text) > 400 {
			s.t.Errorf("in the log stands %q", line)
		}
	}
	if n := strings.Count(log, "\n"); n != 1+2*5 {
		s.t.Errorf("two sessions have %d lines in the log", n)
	}
	return variable(env, name)
}

func variable(env []string, name string) string {
	for _, item := range env {
		if value, found := strings.CutPrefix(item, name+"="); found {
			return value
		}
	}
	return ""
}
