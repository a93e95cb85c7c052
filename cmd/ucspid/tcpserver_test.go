package main

import (
	"flag"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBesideTcpserver runs Debian's tcpserver and ucspid with the same options,
// rules and program, and lets the same peers connect to both. All that a peer,
// a program, or a reader of the log or of exit codes can notice has to be the
// same, but for the differences of docs/migrating.md.
func TestBesideTcpserver(t *testing.T) {
	b := newBoth(t)
	all := t.Run("all", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *both){
			"options":   besideOptions,
			"names":     besideNames,
			"rules":     besideRules,
			"bad rules": besideBadRules,
			"flood":     besideFlood,
			"programs":  besidePrograms,
			"process":   besideProcess,
			"inherited": besideInherited,
			"values":    besideValues,
			"crowd":     besideCrowd,
			"starts":    besideStarts,
			"signals":   besideSignals,
			"lookups":   besideLookups,
			"shortage":  besideShortage,
			"generated": besideGenerated,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, b)
			})
		}
	})
	t.Logf("%d visits to each", b.visits.Load())
	if part := flag.Lookup("test.run").Value.String(); all && !strings.Contains(part, "/") {
		b.check(t)
	}
}

// besideOptions tries every letter alone, and the usual bundles.
func besideOptions(t *testing.T, b *both) {
	const rules = "127.:allow,RELAYCLIENT=\"\",TCPREMOTEIP=\"192.0.2.1\"\n"
	for _, options := range []string{
		"", "-q", "-Q", "-v", "-vc2", "-v -c 2", "-v -x CDB", "-vX", "-v -x CDB -X", "-v -B 220-hello", "-vBglued",
		"-vd", "-vD", "-vDd", "-vo", "-vO", "-voO", "-vh", "-vH", "-vHh", "-vp", "-vP", "-vpP", "-vPp",
		"-vl0", "-v -l 0", "-vlhere.example", "-vr", "-vR", "-vRr", "-vrR", "-v -t5", "-v -t 5", "-v1", "-vqQv", "-v --",
		"-vRHl0", "-HRDvX -x CDB", "-vDRHl0 -c40", "-RHl0", "-v -R -H -l 0 -x CDB -c 40", "-HRvlmail.example -xCDB",
	} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			p := b.start(t, setting{rules: rules}, strings.Fields(options), "probe", "an", "argument")
			for _, number := range []int{10, 11} {
				p.visit(number)
			}
			p.visitBy(10, p.withOptions(10))
			p.stop()
		})
	}
	t.Run("long banner", func(t *testing.T) {
		p := b.start(t, setting{}, []string{"-vB", strings.Repeat("x", 100_000)}, "probe")
		p.visit(10)
		p.stop()
	})
	t.Run("empty name", func(t *testing.T) {
		p := b.start(t, setting{}, []string{"-v", "-l", ""}, "probe")
		p.visit(10)
		p.stop()
	})
}

// withOptions returns a dialer for a peer that sends IPv4 options.
func (p *pair) withOptions(number int) dialer {
	return func(s *server) net.Conn { return connectWithOptions(p.t, s.addresses[0], p.ip(number)) }
}

// besideNames lets every peer of the world come.
func besideNames(t *testing.T, b *both) {
	for _, options := range []string{"-vR", "-vRp", "-vHr", "-vpr", "-vrl0"} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			p := b.start(t, setting{}, []string{options}, "probe")
			for _, c := range characters {
				p.visit(c.number)
			}
			p.stop()
		})
	}
	for _, options := range []string{"-vR", "-vRp", "-vrH"} {
		t.Run("oddities"+options, func(t *testing.T) {
			p := b.start(t, setting{}, []string{options}, "probe")
			for _, c := range oddities {
				p.visit(c.number)
			}
			p.stop()
		})
	}
	t.Run("as the test says", func(t *testing.T) {
		p := b.start(t, setting{}, []string{"-vr"}, "probe")
		for _, c := range characters {
			env := p.meet(p.theirs, p.from(c.number)).Report.Env
			host, info := slices.Contains(env, "TCPREMOTEHOST="+c.host), slices.Contains(env, legible("TCPREMOTEINFO="+c.info))
			if host != (c.host != "") || info != c.infoSaid {
				t.Errorf("%d: tcpserver says %q", c.number, env)
			}
		}
	})
}

// besideRules tries rules of all kinds.
func besideRules(t *testing.T, b *both) {
	p := b.start(t, setting{env: []string{"KEPT=1"}}, strings.Fields("-v -r -x CDB"), "probe")
	for _, rules := range []string{
		"",
		":allow\n",
		":deny\n",
		b.ip(10) + ":deny\n:allow,A=\"1\"\n",
		b.ip(10) + ":deny,A=\"1\",RELAYCLIENT=\"\"\n",
		"127.:deny\n" + b.ip(10) + ":allow\n",
		b.block + ":deny\n127.:allow\n",
		b.block + "10-11:deny\n:allow,B=/2/\n",
		b.ip(10) + ":allow,TCPREMOTEIP=\"192.0.2.1\",TCPREMOTEPORT=\"1\",TCPREMOTEHOST=\"x\",TCPREMOTEINFO=\"y\",TCPLOCALIP=\"z\",TCPLOCALPORT=\"2\",TCPLOCALHOST=\"\",PROTO=\"SMTP\"\n",
		b.ip(10) + ":allow,PATH=\"/nowhere\",KEPT=\"2\",A=\"1\",A=\"2\",=\"nameless\",LISTEN_FDS=\"1\",NOTIFY_SOCKET=\"/x\",UCSPID_X=\"1\"\n",
		b.ip(10) + ":allow,A=\"1\"\n" + b.ip(10) + ":deny\n",
		"=mail.example.org:deny\n",
		"=mail.example.org:allow,BY=\"host\"\n" + b.block + ":allow,BY=\"prefix\"\n",
		b.block + ":allow,BY=\"prefix\"\n=.example.org:allow,BY=\"suffix\"\n",
		"=.example.org:allow,BY=\"suffix\"\n=:allow,BY=\"any host\"\n:deny\n",
		"=:deny\n",
		"joe@" + b.ip(10) + ":deny\n",
		"joe@=mail.example.org:deny\n",
		"@" + b.ip(11) + ":deny\n:allow,BY=\"everybody\"\n",
		"joe@" + b.ip(10) + ":allow,BY=\"info\"\n" + b.ip(10) + ":deny\n=:deny\n",
		b.ip(13) + ":deny\n=liar.example.org:allow\n=:deny\n",
	} {
		p.judgeBy(rules)
		for _, number := range []int{10, 11, 13, 15} {
			p.visit(number)
		}
	}
	p.stop()
}

// besideBadRules tries rules files that are none.
func besideBadRules(t *testing.T, b *both) {
	good := b.start(t, setting{rules: "127.:allow,A=\"1\"\n"}, strings.Fields("-q -x CDB"), "probe")
	cdb, err := os.ReadFile(good.cdb)
	if err != nil {
		t.Fatal(err)
	}
	good.stop()
	write := func(data []byte) func(string) {
		return func(path string) {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	for name, place := range map[string]func(cdb string){
		"missing":     func(string) {},
		"empty":       write(nil),
		"truncated":   write(cdb[:2000]),
		"garbage":     write([]byte("#!/bin/sh\n")),
		"directory":   func(path string) { _ = os.Mkdir(path, 0o700) },
		"loop":        func(path string) { _ = os.Symlink(path, path) },
		"fifo":        func(path string) { _ = unix.Mkfifo(path, 0o600) },
		"device":      func(path string) { _ = os.Symlink("/dev/null", path) },
		"long name":   func(path string) { _ = os.Symlink(strings.Repeat("x", 300), path) },
		"not in file": func(path string) { _ = os.Symlink("/etc/passwd/x", path) },
	} {
		for _, options := range []string{"-v -x CDB", "-vX -x CDB", "-x CDB -B hello"} {
			if name == "directory" && options[1] != 'v' {
				continue // tcpserver crashes and says nothing
			}
			t.Run(name+options, func(t *testing.T) {
				t.Parallel()
				p := b.start(t, setting{place: place}, strings.Fields(options+" -RHl0"), "probe")
				p.visit(10)
				p.visit(11)
				if p.verbose() {
					if err := os.RemoveAll(p.cdb); err != nil {
						t.Fatal(err)
					}
					p.judgeBy("127.:allow,GOOD=\"again\"\n")
					p.visit(10)
				}
				p.stop()
			})
		}
	}
	t.Run("unseen damage", func(t *testing.T) {
		t.Parallel()
		p := b.start(t, setting{}, strings.Fields("-vRHl0 -x CDB"), "probe")
		write(append(slices.Clone(cdb), 0))(p.cdb)
		p.damaged = true
		p.visit(10)
		p.stop()
	})
}

// besideFlood has one peer denied more often than the log has lines for.
func besideFlood(t *testing.T, b *both) {
	p := b.start(t, setting{rules: ":deny\n"}, strings.Fields("-vRHl0 -x CDB"), "probe")
	for range 10 {
		p.visit(10)
	}
	p.use("a source that is denied often")
	for range 5 {
		theirs, ours := p.see(p.theirs, p.from(10)), p.meet(p.ours, p.from(10))
		if ours.Got != theirs.Got || len(theirs.Log) != 5 {
			t.Errorf("the peer gets %q, and of tcpserver %q and the lines %q", ours.Got, theirs.Got, theirs.Log)
		}
	}
	for _, s := range []*server{p.theirs, p.ours} {
		s.stop()
	}
	counted := regexp.MustCompile(`^flood: 5 more from ` + regexp.QuoteMeta(p.ip(10)) + ` denied in [0-9]+ s$`)
	if lines := p.rest(p.ours); len(lines) != 1 || !counted.MatchString(lines[0]) {
		t.Errorf("of the others ucspid says %q", lines)
	}
}

// besidePrograms tries programs of all kinds, and ends of all kinds.
func besidePrograms(t *testing.T, b *both) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := file("text", "echo I am no program\n", 0o700)
	for _, program := range [][]string{
		{"probe", "0"}, {"probe", "1"}, {"probe", "100"}, {"probe", "111"}, {"probe", "255"},
		{"probe", "-9"}, {"probe", "-15"}, {"probe", "", " ", "a b", "\xff"},
		{"sh", "-c", "ulimit -c 0; kill -SEGV $$"}, {"sh", "-c", "kill -PIPE $$"}, {"sh", "-c", "exec >&- <&-; exit 3"},
		{"true"}, {"echo", "served"}, {text},
	} {
		t.Run(strings.Join(program, " "), func(t *testing.T) {
			t.Parallel()
			p := b.start(t, setting{}, []string{"-vRHl0"}, program...)
			p.visit(10)
			p.visit(11)
			p.stop()
		})
	}
	t.Run("that speaks", func(t *testing.T) {
		t.Parallel()
		p := b.start(t, setting{}, []string{"-vRHl0"}, "sh", "-c", "echo here >&2; echo there")
		for range 3 {
			want, got := p.see(p.theirs, p.from(10)), p.see(p.ours, p.from(10))
			p.use("what a program writes to stderr") // it may come early, it need not
			if line := slices.Index(got.Log, "here"); line >= 0 && line < slices.Index(want.Log, "here") {
				got.Log = slices.Insert(slices.Delete(got.Log, line, line+1), slices.Index(want.Log, "here"), "here")
			}
			p.compare(want, got)
		}
		p.stop()
	})
	t.Run("that changes", func(t *testing.T) {
		t.Parallel()
		p := b.start(t, setting{}, []string{"-vRHl0"}, file("changing", "#!/bin/sh\necho here\n", 0o700))
		p.visit(10)
		for _, change := range []func(path string) error{
			os.Remove,
			func(path string) error { return os.Mkdir(path, 0o700) },
			func(path string) error { _ = os.Remove(path); return os.WriteFile(path, nil, 0o600) },
			func(path string) error { _ = os.Remove(path); return os.WriteFile(path, []byte("#!/nowhere\n"), 0o700) },
			func(path string) error { _ = os.Remove(path); return os.Symlink(path, path) },
		} {
			if err := change(filepath.Join(dir, "changing")); err != nil {
				t.Fatal(err)
			}
			p.visit(10)
		}
		p.stop()
	})
}

// besideGenerated throws dice for options, programs, rules and peers.
func besideGenerated(t *testing.T, b *both) {
	const pairs, visits = 50, 6
	for seed := range pairs {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			d := dice{rand.New(rand.NewPCG(uint64(seed), 0)), b.world}
			p := b.start(t, setting{rules: d.rules()}, d.options(), "probe", d.one("0", "1", "100", "111", "-9", "-15", "x"))
			for i := range visits {
				if i > 0 && d.IntN(10) == 0 { // not before ucspid has looked at them
					p.spoil(d.one("", "x", "#!/bin/sh\n"))
				} else {
					p.judgeBy(d.rules())
				}
				number := characters[d.IntN(len(characters))].number
				dial := p.from(number)
				if d.IntN(8) == 0 {
					dial = p.withOptions(number)
				}
				p.visitBy(number, dial)
			}
			p.stop()
		})
	}
}
