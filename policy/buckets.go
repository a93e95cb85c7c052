package policy

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// How many buckets there are: 65536 of hosts and as many of networks, in some
// 2 MB each. They stand in sets of 16. A group, such as the hosts of one
// network, shares 32 of the 4096 sets.
const (
	bucketSets   = 4096
	bucketsInSet = 16
	setsOfGroup  = 32
)

// buckets are those of the sources of one kind that came most often. However
// many sources there are, their number is fixed: where there is no room for
// one more, the one that is closest to full goes, one of the same group if
// there is any. So a flood from one group drives out 32 buckets of others at
// the most, and in each set that which says the least.
type buckets struct {
	seed maphash.Seed
	sets *[bucketSets][bucketsInSet]bucket // nil while there are none
}

type bucket struct {
	source [16]byte // the first address
	group  uint64   // a hash
	full   time.Duration
}

func newBuckets() *buckets { return &buckets{seed: maphash.MakeSeed()} }

// full returns when the bucket of a source will be full; it may be long ago.
func (b *buckets) full(source, group netip.Prefix) time.Duration {
	if b.sets == nil {
		return 0
	}
	set, _ := b.setOf(source, group)
	for i := range set {
		if set[i].source == source.Addr().As16() {
			return set[i].full
		}
	}
	return 0
}

// put remembers when the bucket of a source will be full.
func (b *buckets) put(source, group netip.Prefix, full, now time.Duration) {
	if b.sets == nil {
		b.sets = new([bucketSets][bucketsInSet]bucket)
	}
	set, groupHash := b.setOf(source, group)
	place := &set[0]
	for i := range set {
		candidate := &set[i]
		if candidate.source == source.Addr().As16() {
			place = candidate
			break
		}
		if candidate.goesBefore(place, groupHash, now) {
			place = candidate
		}
	}
	*place = bucket{source.Addr().As16(), groupHash, full}
}

// goesBefore tells whether a bucket is less needed than another, when one of a
// group is to take its place.
func (b *bucket) goesBefore(other *bucket, group uint64, now time.Duration) bool {
	idle, otherIdle := b.full <= now, other.full <= now
	if idle || otherIdle {
		return idle && !otherIdle
	}
	if own, otherOwn := b.group == group, other.group == group; own != otherOwn {
		return own
	}
	return b.full < other.full
}

func (b *buckets) setOf(source, group netip.Prefix) (*[bucketsInSet]bucket, uint64) {
	groupHash := maphash.Comparable(b.seed, group)
	n := groupHash + maphash.Comparable(b.seed, source)%setsOfGroup
	return &b.sets[n%bucketSets], groupHash
}
