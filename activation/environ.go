package activation

import (
	"os"
	"slices"
	"strings"
)

// Environ returns the environment of this process without what systemd meant
// for this process alone, and without the variables of our own units: what
// another program may inherit.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return private(name)
	})
}

// private tells whether systemd.exec(5) or sd_notify(3) defines the name for
// the process that systemd started, or our units do.
func private(name string) bool {
	switch name {
	case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
		"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "FDSTORE",
		"MAINPID", "MAINPIDFDID", "MANAGERPID", "MANAGERPIDFDID",
		"INVOCATION_ID", "JOURNAL_STREAM", "LOG_NAMESPACE", "SYSTEMD_EXEC_PID",
		"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
		"RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY",
		"LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY":
		return true
	}
	return strings.HasPrefix(name, "TRIGGER_") || strings.HasPrefix(name, "UCSPID_")
}
