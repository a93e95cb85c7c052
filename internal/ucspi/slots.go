package ucspi

import (
	"context"
	"sync"
)

// slots are the places for connections that may be served at once.
type slots struct {
	limit int
	freed chan struct{} // has a value when take may succeed again

	mu    sync.Mutex
	taken int // may be above the limit by those that were occupied
}

func newSlots(limit int) *slots {
	return &slots{limit: limit, freed: make(chan struct{}, 1)}
}

// take waits for a slot. It returns false when ctx ends first.
func (s *slots) take(ctx context.Context) bool {
	for ctx.Err() == nil {
		if s.tryTake() {
			return true
		}
		select {
		case <-s.freed:
		case <-ctx.Done():
		}
	}
	return false
}

func (s *slots) tryTake() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.limit {
		return false
	}
	s.taken++
	s.announce()
	return true
}

// occupy takes a slot whether there is one or not: a session that runs already
// cannot wait.
func (s *slots) occupy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
}

// give puts a slot back.
func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	s.announce()
}

// announce wakes one of those who wait while there is a slot; it passes the
// word on when it has taken its own.
func (s *slots) announce() {
	if s.taken >= s.limit {
		return
	}
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
