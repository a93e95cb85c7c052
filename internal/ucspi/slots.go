package ucspi

import (
	"context"

	"ucspid/policy"
)

// slots are the places for connections, as the admission counts them, and the
// accept loops that wait for one.
type slots struct {
	admission *policy.Admission
	freed     chan struct{} // has a value when take may succeed again
}

func newSlots(a *policy.Admission) *slots {
	return &slots{admission: a, freed: make(chan struct{}, 1)}
}

// take waits for a slot. It returns false when ctx ends first.
func (s *slots) take(ctx context.Context) bool {
	for ctx.Err() == nil {
		if s.admission.Take() {
			s.announce()
			return true
		}
		select {
		case <-s.freed:
		case <-ctx.Done():
		}
	}
	return false
}

// give puts a slot back for which nobody came.
func (s *slots) give() {
	s.admission.Give()
	s.announce()
}

// leave puts the slot of a visit back.
func (s *slots) leave(v *policy.Visit) {
	v.Leave()
	s.announce()
}

// announce wakes one of those who wait while there is a slot; it passes the
// word on when it has taken its own.
func (s *slots) announce() {
	if !s.admission.Open() {
		return
	}
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
