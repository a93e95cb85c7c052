package status

import (
	"net/netip"
	"time"

	"ucspid/policy"
)

// Report is what a server says of itself. What others wrote, a host's name or
// a rule, stands in it as in the log: nothing in it can break a terminal.
type Report struct {
	Summary
	Sessions []Session `json:"sessions"` // in no order
}

// Summary is what there is to say without naming a session.
type Summary struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"` // the counts began, with this process or its last reload
	Counts  Counts    `json:"counts"`
	Limits  Limits    `json:"limits"`
	Rules   *Rules    `json:"rules,omitempty"` // nil where everybody is let in
}

// Session is a program that runs, and whom it serves.
type Session struct {
	ID      int            `json:"id"` // the program's process
	Peer    netip.AddrPort `json:"peer"`
	Name    policy.Name    `json:"name,omitzero"` // TCPREMOTEHOST
	Rule    policy.Name    `json:"rule,omitzero"` // its address; unknown where none was found
	Trusted bool           `json:"trusted,omitempty"`
	Adopted bool           `json:"adopted,omitempty"` // by this process, from the one before
	Started time.Time      `json:"started"`

	// In and Out are bytes from and to the peer. The server does not know them:
	// whoever asks may ask the kernel, too.
	In  *uint64 `json:"in,omitempty"`
	Out *uint64 `json:"out,omitempty"`
}

// Counts are of connections, by what became of them.
type Counts struct {
	Begun   uint64            `json:"begun"` // sessions
	Denied  uint64            `json:"denied"`
	Refused map[string]uint64 `json:"refused,omitempty"` // by the word for the limit
	Dropped uint64            `json:"dropped"`           // because of an error
}

// Limits are those of the server. A rule may have others for its peers. A
// number that is not there is no limit.
type Limits struct {
	Sessions    int    `json:"sessions"`
	Reserve     int    `json:"reserve,omitempty"`
	PerHost     *int   `json:"per_host,omitempty"`
	PerNetwork  *int   `json:"per_network,omitempty"`
	Rate        string `json:"rate,omitempty"` // of a host, such as 30/1m
	NetworkRate string `json:"network_rate,omitempty"`
	HostBits    Bits   `json:"host_bits"`
	NetworkBits Bits   `json:"network_bits"`
}

// Bits are a policy.Width.
type Bits struct {
	IP4 int `json:"ipv4"`
	IP6 int `json:"ipv6"`
}

// Rules are the file that is judged by.
type Rules struct {
	File     string    `json:"file"`
	Modified time.Time `json:"modified,omitzero"`
	Error    string    `json:"error,omitempty"` // why nobody is let in
}
