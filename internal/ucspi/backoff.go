package ucspi

import (
	"context"
	"sync"
	"time"
)

// The pause after an error that more haste would only make worse. It doubles
// from one error to the next.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = time.Second
)

// backoff makes all loops of a server wait while the system is short of
// something: descriptors, memory, processes.
type backoff struct {
	mu    sync.Mutex
	pause time.Duration // the last one, 0 when all is well
	until time.Time
}

// failed lets the next wait last longer.
func (b *backoff) failed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pause = min(max(2*b.pause, firstPause), maxPause)
	b.until = time.Now().Add(b.pause)
}

// succeeded ends the waits.
func (b *backoff) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pause = 0
	b.until = time.Time{}
}

// wait returns when the pause is over or ctx ends.
func (b *backoff) wait(ctx context.Context) {
	b.mu.Lock()
	until := b.until
	b.mu.Unlock()
	if until.IsZero() {
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
