package main

import (
	"encoding/json"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// report is what a program finds when ucspid runs it.
type report struct {
	Args        []string
	Env         []string
	Dir         string
	Descriptors []int
	Blocking    bool
	NoDelay     int
	KeepAlive   int
	IPOptions   int    // bytes of IPv4 options on the connection
	Ignored     string // SigIgn of proc(5)
	Blocked     string // SigBlk of proc(5)
	OpenFiles   uint64 // soft RLIMIT_NOFILE
}

// probe is a program for a connection: it writes a report to the client.
func probe() {
	os.Unsetenv("GORACE") // set by TestMain, which this process went through
	r := report{Args: os.Args, Env: os.Environ()}
	for fd := range 1024 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			r.Descriptors = append(r.Descriptors, fd)
		}
	}
	status, err := unix.FcntlInt(0, unix.F_GETFL, 0)
	r.Blocking = err == nil && status&unix.O_NONBLOCK == 0
	r.NoDelay, _ = unix.GetsockoptInt(0, unix.IPPROTO_TCP, unix.TCP_NODELAY)
	r.KeepAlive, _ = unix.GetsockoptInt(0, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	options, _ := unix.GetsockoptString(0, unix.IPPROTO_IP, unix.IP_OPTIONS)
	r.IPOptions = len(options)
	r.Dir, _ = os.Getwd()
	r.readSignals()
	var limit unix.Rlimit
	_ = unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit)
	r.OpenFiles = limit.Cur
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// readSignals reads what the kernel knows of the program's signals. Those that
// Go's runtime catches by itself are not ignored.
func (r *report) readSignals() {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "SigIgn":
			r.Ignored = strings.TrimSpace(value)
		case "SigBlk":
			r.Blocked = strings.TrimSpace(value)
		}
	}
}
