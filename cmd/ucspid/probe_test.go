package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// report is what a program finds when ucspid runs it.
type report struct {
	Args        []string
	Env         []string
	Dir         string
	Server      int   // its parent
	Descriptors []int // that it was born with
	Files       []file
	Socket      map[string]int // the connection's options, by protocol and number
	Blocking    bool
	NoDelay     int
	KeepAlive   int
	Linger      unix.Linger
	IPOptions   int    // bytes of IPv4 options on the connection
	Ignored     string // SigIgn of proc(5)
	Blocked     string // SigBlk of proc(5)
}

// file is what proc(5) tells of a descriptor.
type file struct{ Target, Info string }

// probe is a program for a connection: it writes a report to the client. With
// an argument it ends as that says: an exit code, or the negative of a signal.
func probe() {
	os.Unsetenv("GORACE") // set by TestMain, which this process went through
	r := report{Args: commandLine(), Server: os.Getppid()}
	for _, variable := range os.Environ() {
		r.Env = append(r.Env, legible(variable))
	}
	for fd := range 1024 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			r.Descriptors = append(r.Descriptors, fd)
			r.Files = append(r.Files, fileOfDescriptor(fd))
		}
	}
	status, err := unix.FcntlInt(0, unix.F_GETFL, 0)
	r.Blocking = err == nil && status&unix.O_NONBLOCK == 0
	r.NoDelay, _ = unix.GetsockoptInt(0, unix.IPPROTO_TCP, unix.TCP_NODELAY)
	r.KeepAlive, _ = unix.GetsockoptInt(0, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	if linger, err := unix.GetsockoptLinger(0, unix.SOL_SOCKET, unix.SO_LINGER); err == nil {
		r.Linger = *linger
	}
	options, _ := unix.GetsockoptString(0, unix.IPPROTO_IP, unix.IP_OPTIONS)
	r.IPOptions = len(options)
	r.Socket = socketOptions()
	r.Dir, _ = os.Getwd()
	r.readSignals()
	_ = json.NewEncoder(os.Stdout).Encode(r)
	end(r.Args)
}

// commandLine returns the arguments as they were passed, before TestMain.
func commandLine() []string {
	text, _ := os.ReadFile("/proc/self/cmdline")
	args := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	for i := range args {
		args[i] = legible(args[i])
	}
	return args
}

// legible quotes what would not survive as a string of JSON.
func legible(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strconv.Quote(text)
}

func fileOfDescriptor(fd int) file {
	target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	info, _ := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	return file{target, string(info)}
}

// socketOptions returns every option of the connection that the kernel knows,
// but for those that differ from one connection to the next.
func socketOptions() map[string]int {
	differing := map[int][]int{
		unix.SOL_SOCKET:  {unix.SO_PEERNAME, unix.SO_INCOMING_CPU, unix.SO_INCOMING_NAPI_ID, unix.SO_COOKIE, unix.SO_MEMINFO},
		unix.IPPROTO_IP:  {unix.IP_PROTOCOL}, // which is the local port
		unix.IPPROTO_TCP: {unix.TCP_INFO, unix.TCP_QUICKACK, unix.TCP_TIMESTAMP, unix.TCP_CC_INFO, unix.TCP_ZEROCOPY_RECEIVE},
	}
	found := make(map[string]int)
	for _, level := range []int{unix.SOL_SOCKET, unix.IPPROTO_IP, unix.IPPROTO_TCP} {
		for option := range 100 {
			if slices.Contains(differing[level], option) {
				continue
			}
			if value, err := unix.GetsockoptInt(0, level, option); err == nil {
				found[fmt.Sprintf("%d/%d", level, option)] = value
			}
		}
	}
	return found
}

// readSignals reads what the kernel knows of the program's signals. Those that
// Go's runtime catches by itself are not ignored. The thread that asks is the
// one to look at: another may be about to start a thread, with every signal
// blocked meanwhile.
func (r *report) readSignals() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	text, _ := os.ReadFile("/proc/thread-self/status")
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

// end ends the program as its last argument says.
func end(args []string) {
	how, err := strconv.Atoi(args[len(args)-1])
	if err != nil {
		return
	}
	if how < 0 {
		_ = unix.Kill(os.Getpid(), unix.Signal(-how))
		select {} // it is on its way
	}
	os.Exit(how)
}
