package ucspi

import "context"

// slots are the places for connections that may be served at once.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, n) }

// take waits for a slot. It returns false when ctx ends first.
func (s slots) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case s <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// give puts a slot back.
func (s slots) give() { <-s }
