package main

import (
	"context"
	"fmt"
	"time"

	"ucspid/activation"
	"ucspid/internal/ucspi"
)

// What systemd hears while the program serves: the counts, and that no loop is
// stuck. How much it hears does not depend on how many connections there are.

// statusPause keeps PID 1 from hearing more than one status a second.
const statusPause = time.Second

// reportStatus shows the counts in systemctl status, until ctx ends.
func reportStatus(ctx context.Context, s *ucspi.Server) {
	for {
		n := s.Counts()
		_ = activation.Status(fmt.Sprintf("%d/%d sessions; %d denied", n.Sessions, n.Limit, n.Denied))
		select {
		case <-time.After(statusPause):
		case <-ctx.Done():
			return
		}
		select {
		case <-s.Changed():
		case <-ctx.Done():
			return
		}
	}
}

// keepAlive answers the watchdog while no accept loop is stuck, until ctx
// ends.
func keepAlive(ctx context.Context, s *ucspi.Server, interval time.Duration) {
	if interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			if s.BusyFor(now) < interval {
				_ = activation.KeepAlive()
			}
		case <-ctx.Done():
			return
		}
	}
}
