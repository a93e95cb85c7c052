package ucspi

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// process is what proc(5) knows of a process.
type process struct {
	parent int
	born   uint64 // clock ticks since the boot; with the id it is like no other's
}

// The fields of /proc/PID/stat, counted from 0 after the name.
const (
	statParent = 1
	statBorn   = 19
)

// errStat says that /proc/PID/stat is not as proc(5) has it.
var errStat = errors.New("stat of the process: unknown format")

// readProcess reads /proc/PID/stat. The process may be one that has ended and
// was not waited for.
func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name stands in parentheses and may hold some itself.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= statBorn {
		return process{}, errStat
	}
	parent, err := strconv.Atoi(string(fields[statParent]))
	if err != nil {
		return process{}, errStat
	}
	born, err := strconv.ParseUint(string(fields[statBorn]), 10, 64)
	if err != nil {
		return process{}, errStat
	}
	return process{parent: parent, born: born}, nil
}

// userHz is how many clock ticks of proc(5) are a second on Linux.
const userHz = 100

// started returns when the process was born, to the tick.
func (p process) started(now time.Time) time.Time {
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil {
		return now
	}
	born := time.Duration(p.born) * (time.Second / userHz)
	return now.Add(born - time.Duration(sinceBoot.Nano()))
}
