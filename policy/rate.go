package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is how many connections may come in a time: N at once after a pause,
// and then one each time that the Nth part of Per has passed. The zero Rate is
// no limit, one of 0 lets nobody in.
type Rate struct {
	N   int
	Per time.Duration
}

const (
	maxRate   = 1_000_000
	maxPeriod = 24 * time.Hour
)

// rateUnits are the units of a period, the longest first.
var rateUnits = [...]struct {
	letter string
	length time.Duration
}{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// ParseRate reads a rate such as 30/1m: a number, and a time in seconds,
// minutes or hours.
func ParseRate(text string) (Rate, error) {
	number, period, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n > maxRate {
		return Rate{}, notARate(text)
	}
	for _, unit := range rateUnits {
		count, found := strings.CutSuffix(period, unit.letter)
		if !found {
			continue
		}
		times, err := strconv.ParseUint(count, 10, 32)
		if err != nil || times == 0 || times > uint64(maxPeriod/unit.length) {
			break
		}
		return Rate{int(n), time.Duration(times) * unit.length}, nil
	}
	return Rate{}, notARate(text)
}

func notARate(text string) error {
	return fmt.Errorf("%q is not a number of connections and a time up to 24h, such as 30/1m", text)
}

// String returns the rate as ParseRate reads it.
func (r Rate) String() string {
	unit := rateUnits[len(rateUnits)-1]
	for _, longer := range rateUnits {
		if r.Per%longer.length == 0 {
			unit = longer
			break
		}
	}
	return fmt.Sprintf("%d/%d%s", r.N, r.Per/unit.length, unit.letter)
}

// Exceeds tells whether a rate lets more in than another, in the long run.
func (r Rate) Exceeds(other Rate) bool {
	return r.N*int(other.Per/time.Second) > other.N*int(r.Per/time.Second)
}

// A bucket holds N connections. Each takes one out, and it fills at the rate.
// All there is to know of it is when it will be full; one that is full is like
// one that nobody knows.

// lets tells whether a bucket that will be full then has one left now.
func (r Rate) lets(full, now time.Duration) bool {
	return r == Rate{} || r.N > 0 && full-now <= time.Duration(r.N-1)*r.each()
}

// take returns when the bucket will be full after one was taken now.
func (r Rate) take(full, now time.Duration) time.Duration {
	return max(full, now) + r.each()
}

func (r Rate) each() time.Duration { return r.Per / time.Duration(r.N) }
