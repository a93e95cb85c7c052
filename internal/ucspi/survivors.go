package ucspi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Survivors returns the sessions beside the known ones, of a server that had no
// time to leave word: it was killed, or it crashed. They are the processes of
// our control group whose parent is not in it and who speak to a peer. Of those
// that may not be looked at the error tells. It is for a service, whose control
// group is its own.
func Survivors(known []Session) ([]Session, error) {
	members, err := controlGroup()
	if err != nil {
		return nil, err
	}
	born := make(map[int]uint64, len(known))
	for _, one := range known {
		born[one.PID] = one.Born
	}
	now := time.Now()
	var all []Session
	var failed error
	for pid := range members {
		p, err := readProcess(pid)
		if members[p.parent] || pid == os.Getpid() || born[pid] != 0 && born[pid] == p.born {
			continue
		}
		var remote netip.AddrPort
		if err == nil {
			remote, err = servedPeer(pid)
		}
		switch {
		case err == nil && remote.IsValid():
			all = append(all, Session{PID: pid, Born: p.born, Remote: remote, Started: p.started(now)})
		case err != nil && born[pid] == 0 && !vanished(pid, err):
			failed = fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return all, failed
}

// vanished tells whether an error about a process means that there is none any
// more. One that is hidden looks alike, but has a pidfd.
func vanished(pid int, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
		return false
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(pidfd)
	return hasEnded(pidfd)
}

// controlGroup returns the processes of the control group that we are in
// (cgroups(7)).
func controlGroup() (map[int]bool, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		var mounts []string
		switch controllers {
		case "": // version 2, alone or beside version 1
			mounts = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
		case "name=systemd": // version 1
			mounts = []string{"/sys/fs/cgroup/systemd"}
		}
		for _, mount := range mounts {
			if members, err := readMembers(filepath.Join(mount, path)); err == nil {
				return members, nil
			}
		}
	}
	return nil, errors.New("control group: not to be found")
}

func readMembers(group string) (map[int]bool, error) {
	text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	members := make(map[int]bool)
	for _, field := range bytes.Fields(text) {
		pid, err := strconv.Atoi(string(field))
		if err != nil {
			return nil, err
		}
		members[pid] = true
	}
	return members, nil
}

// maxEnviron bounds what is read of another process's environment.
const maxEnviron = 1 << 20

// servedPeer returns the peer that a process serves: the one that the UCSPI
// environment names, if descriptor 0 is a socket. Of one that serves nobody it
// is not valid.
func servedPeer(pid int) (netip.AddrPort, error) {
	stdin, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid))
	if err != nil || !strings.HasPrefix(stdin, "socket:") {
		return netip.AddrPort{}, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnviron))
	var ip netip.Addr
	var port uint64
	for variable := range strings.SplitSeq(string(text), "\x00") {
		switch name, value, _ := strings.Cut(variable, "="); name {
		case "TCPREMOTEIP":
			ip, _ = netip.ParseAddr(value)
		case "TCPREMOTEPORT":
			port, _ = strconv.ParseUint(value, 10, 16)
		}
	}
	return netip.AddrPortFrom(ip, uint16(port)), err
}
