package policy

import "strconv"

// Reason says which limit refuses a peer.
type Reason uint8

// The reasons, by what is exceeded.
const (
	PerHost         Reason = iota // connections of a host
	PerNetwork                    // connections of a network
	HostTooOften                  // the rate of a host
	NetworkTooOften               // the rate of a network
	Overload                      // the load average
	Reserved                      // the places that are not reserved
	Full                          // all places, where some are reserved
	Judging                       // the places of strangers whose names are looked up
	Reasons                       // how many reasons there are
)

// reasons are the words for them, and the names of the limits, which are those
// of the variables where there are any.
var reasons = [Reasons]struct{ word, limit string }{
	PerHost:         {"per-host", "MAXCONNIP"},
	PerNetwork:      {"per-network", "MAXCONNC"},
	HostTooOften:    {"rate", "MAXRATEIP"},
	NetworkTooOften: {"network-rate", "MAXRATEC"},
	Overload:        {"load", "MAXLOAD"},
	Reserved:        {"reserved", "RESERVE"},
	Full:            {"full", "SESSIONS"},
	Judging:         {"judging", "JUDGING"},
}

// String returns the word for a reason.
func (r Reason) String() string { return reasons[r].word }

// Refusal says why a peer is not let in: no rule denies it, but a limit.
type Refusal struct {
	Reason Reason
	value  string
}

func refused(r Reason, n int) *Refusal { return &Refusal{r, strconv.Itoa(n)} }

// Limit returns the limit by its name and value, MAXCONNIP:5.
func (r *Refusal) Limit() string { return reasons[r.Reason].limit + ":" + r.value }
