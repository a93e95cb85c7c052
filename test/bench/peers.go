package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// How each server is asked for the same: no lookups, the same rules, so many
// sessions that they are not what limits it.

const (
	greeting = "220 bench\r\n" // of program.c
	sessions = 6000            // at once, at most
)

func (b *bench) program() string { return filepath.Join(b.programs, "program") }

// ucspid is ours, on so many listeners.
func (b *bench) ucspid(name string, listeners int, options ...string) call {
	words := []string{filepath.Join(b.programs, "ucspid"), "-RH", "-l", "0", "-c", strconv.Itoa(sessions)}
	for range listeners {
		words = append(words, "--listen", "127.0.0.1:PORT")
	}
	return call{name: name, words: append(append(words, options...), b.program())}
}

// tcpserver is that of Debian's ucspi-tcp.
func (b *bench) tcpserver(name string, options ...string) call {
	words := []string{filepath.Join(b.originals, "ucspi-tcp/usr/bin/tcpserver"), "-RH", "-l", "0", "-c", strconv.Itoa(sessions), "-b", "512"}
	return call{name: name, words: append(append(words, options...), "127.0.0.1", "PORT", b.program())}
}

// tcpsvd is that of Debian's ipsvd. It knows other rules, and gets none.
func (b *bench) tcpsvd() call {
	return call{name: "tcpsvd, no rules", words: []string{
		filepath.Join(b.originals, "ipsvd/usr/bin/tcpsvd"), "-l", "0", "-c", strconv.Itoa(sessions), "-b", "512", "127.0.0.1", "PORT", b.program(),
	}}
}

// launchXinetd starts Debian's xinetd. It knows no rules of this kind.
func (b *bench) launchXinetd() (*server, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	libwrap, err := filepath.Glob(filepath.Join(b.originals, "libwrap0/usr/lib/*-linux-gnu*"))
	if err != nil || len(libwrap) == 0 {
		return nil, errors.New("xinetd: its libwrap is missing")
	}
	return b.launch(call{
		name: "xinetd, no rules",
		env:  []string{"LD_LIBRARY_PATH=" + libwrap[0]},
		config: fmt.Sprintf(`service bench
{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	wait = no
	bind = 127.0.0.1
	port = PORT
	user = %s
	server = %s
	passenv =
	instances = UNLIMITED
	per_source = UNLIMITED
	cps = 1000000 1
}
`, me.Username, b.program()),
		words: []string{filepath.Join(b.originals, "xinetd/usr/sbin/xinetd"), "-dontfork", "-f", "CONFIG", "-pidfile", filepath.Join(b.scratch, "xinetd.pid")},
	})
}

// limit is the loop of limit.c, which runs the program or hangs up.
func (b *bench) limit(name string, program ...string) call {
	return call{name: name, words: append([]string{filepath.Join(b.programs, "limit"), "PORT"}, program...)}
}

// rules returns a cdb of n rules, of which one decides about our clients and
// the others are about nobody.
func (b *bench) rules(n int, verdict string) (string, error) {
	var text strings.Builder
	for i := range n - 1 {
		fmt.Fprintf(&text, "10.%d.%d.%d:allow,RELAYCLIENT=\"\"\n", i>>16, i>>8&255, i&255)
	}
	fmt.Fprintf(&text, "127.:%s\n", verdict)
	dir, err := os.MkdirTemp(b.scratch, "rules-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "tcp")
	if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
		return "", err
	}
	out, err := exec.Command(filepath.Join(b.programs, "ucspidctl"), "rules", "compile", name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rules: %w: %s", err, bytes.TrimSpace(out))
	}
	return name + ".cdb", nil
}
