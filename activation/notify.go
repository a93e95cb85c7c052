package activation

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready tells systemd that connections are being served. Like the other
// states it does nothing where no systemd listens.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Stopping tells systemd that the process is about to exit.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Status sets the line that systemctl status shows. Callers send no more than
// one a second: PID 1 handles each message itself.
func Status(line string) error { return notify("STATUS=" + line) }

// KeepAlive answers the watchdog.
func KeepAlive() error { return notify(daemon.SdNotifyWatchdog) }

// WatchdogInterval returns how much time may pass between two KeepAlive, 0
// when nobody waits for them (WatchdogSec= is not set).
func WatchdogInterval() (time.Duration, error) { return daemon.SdWatchdogEnabled(false) }

func notify(state string) error {
	_, err := daemon.SdNotify(false, state)
	return err
}
