package policy_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucspid/policy"
)

// zeroKey is the one IPv4 address whose key hashes to 0, which some readers
// take for a free slot. zeroHost is a host rule of that kind.
const (
	zeroKey  = "39.160.226.88"
	zeroHost = "=uqrnsbab.example.org"
)

// mailServer returns a cdb that tcprules made of testdata/tcp.smtp.
func mailServer(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/tcp.smtp.cdb")
	check(t, err)
	return data
}

// findsWhatIsThere makes sure that a database finds in a whole cdb what the
// original reader finds there: every key of the file and no other.
func findsWhatIsThere(t failer, d *policy.Database, data []byte) {
	t.Helper()
	for _, e := range append(entriesOf(data), entry{key: "absent"}, entry{key: zeroKey}, entry{}) {
		want, wantFound := lookup(data, e.key)
		got, found, err := d.Find([]byte(e.key))
		if err != nil {
			t.Fatalf("Find(%q): %v", e.key, err)
		}
		if string(got) != want || found != wantFound {
			t.Fatalf("Find(%q) = %q, %v, want %q, %v", e.key, got, found, want, wantFound)
		}
	}
}

// isCorrupt makes sure that err says that a cdb is corrupt.
func isCorrupt(t failer, d *policy.Database, err error) {
	t.Helper()
	var reason *policy.CorruptError
	if d != nil || !errors.As(err, &reason) || reason.Reason == "" {
		t.Fatalf("NewDatabase = %v, %v, want nil and a *CorruptError", d, err)
	}
}

// oddFiles returns whole files, each with something that a reader may trip
// over.
func oddFiles(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"the rules of a mail server":      mailServer(t),
		"no records":                      cdbmake(nil, 2),
		"one record, key and value empty": cdbmake([]entry{{}}, 2),
		"empty values":                    cdbmake([]entry{{"a", ""}, {"b", ""}, {"", ""}}, 2),
		"a key many times":                cdbmake([]entry{{"a", "1"}, {"b", "2"}, {"a", "3"}, {"a", ""}, {"a", "5"}}, 2),
		"no slot is free":                 cdbmake([]entry{{"a", "1"}, {"a", "2"}, {"b", "3"}, {"c", ""}}, 1),
		"many slots are free":             cdbmake([]entry{{"a", "1"}, {"a", "2"}, {"b", "3"}}, 7),
		"a table that goes on at slot 0":  cdbmake(startingAt(3, 4, 2), 2),
		"a hash of 0 alone":               cdbmake([]entry{{zeroKey, "D\x00"}}, 2),
		"a hash of 0 before others":       cdbmake(aroundZero(0), 2),
		"a hash of 0 between others":      cdbmake(aroundZero(2), 2),
		"a hash of 0 and no slot free":    cdbmake(aroundZero(2), 1),
		"a hash of 0 twice":               cdbmake([]entry{{zeroKey, "+A=1\x00"}, {"a", ""}, {zeroKey, "D\x00"}}, 2),
		"a hash of 0 with an empty value": cdbmake([]entry{{zeroKey, ""}, {"a", ""}}, 2),
		"two keys that hash to 0":         cdbmake([]entry{{zeroHost, "1"}, {zeroKey, "2"}, {"a", ""}}, 2),
	}
}

// startingAt returns count entries of one table that has so many slots, and
// whose search begins at the slot first.
func startingAt(first, slots uint32, count int) []entry {
	return brute(count, func(h uint32) bool { return h%256 == 77 && h>>8%slots == first })
}

// aroundZero returns entries of table 0 that share the first slot with
// zeroKey, which stands among them at a place, and one of another table.
func aroundZero(place int) []entry {
	const others = 4
	entries := brute(others, func(h uint32) bool {
		return h%256 == 0 && h>>8%(2*(others+1)) == 0 && h>>8%(others+1) == 0
	})
	entries = append(entries[:place:place], append([]entry{{zeroKey, "D\x00"}}, entries[place:]...)...)
	return append(entries, entry{"127.", "+RELAYCLIENT=\x00"})
}

// brute returns the first entries whose hash is wanted.
func brute(count int, wanted func(h uint32) bool) []entry {
	var entries []entry
	for n := 0; len(entries) < count; n++ {
		key := fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255)
		if wanted(hash(key)) {
			entries = append(entries, entry{key, fmt.Sprintf("+N=%d\x00", n)})
		}
	}
	return entries
}

func TestAWholeFileIsReadAsTheOriginalReadsIt(t *testing.T) {
	for name, data := range oddFiles(t) {
		t.Run(name, func(t *testing.T) {
			findsWhatIsThere(t, database(t, data), data)
		})
	}
}

// The library takes a hash of 0 for a free slot, and would not find that key
// nor those behind it.
func TestAKeyThatHashesTo0IsFoundAndThoseBehindItToo(t *testing.T) {
	for _, key := range []string{zeroKey, zeroHost} {
		if h := hash(key); h != 0 {
			t.Fatalf("%q hashes to %d", key, h)
		}
	}
	data := cdbmake(aroundZero(0), 2)
	d := database(t, data)
	want := policy.Decision{Verdict: policy.Deny, Matched: true, Rule: zeroKey}
	if diff := cmp.Diff(want, decide(t, peer(zeroKey), d)); diff != "" {
		t.Errorf("the peer of that key (-want +got)\n%s", diff)
	}
	for _, e := range entriesOf(data) {
		value, found, err := d.Find([]byte(e.key))
		if err != nil || !found || string(value) != e.value {
			t.Errorf("Find(%q) = %q, %v, %v, want %q", e.key, value, found, err, e.value)
		}
	}
	if got := decide(t, peer("10.255.255.255"), d); got.Matched {
		t.Errorf("a peer without a rule is judged by %q", got.Rule)
	}
}

// Each bit of each file is turned. In a small file each byte becomes every
// other byte.
func TestAChangedByteIsNoticedUnlessItIsInAValue(t *testing.T) {
	var bits, every []byte
	for bit := range 8 {
		bits = append(bits, 1<<bit)
	}
	for flip := 1; flip < 256; flip++ {
		every = append(every, byte(flip))
	}
	files := oddFiles(t)
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changeEachByte(t, data, 0, bits)
		})
	}
	t.Run("every other byte behind the header", func(t *testing.T) {
		t.Parallel()
		changeEachByte(t, files["a key many times"], 2048, every)
	})
}

// changeEachByte changes the bytes of a whole cdb, one at a time.
func changeEachByte(t *testing.T, data []byte, from int, flips []byte) {
	inValue := valueBytes(data)
	changed := append([]byte(nil), data...)
	for at := from; at < len(data); at++ {
		for _, flip := range flips {
			changed[at] = data[at] ^ flip
			d, err := policy.NewDatabase(changed)
			switch {
			case err != nil:
				isCorrupt(t, d, err)
			case !inValue[at]:
				t.Fatalf("byte %d: %#x for %#x went unnoticed", at, changed[at], data[at])
			default:
				findsWhatIsThere(t, d, changed)
			}
		}
		changed[at] = data[at]
	}
}

// valueBytes tells of each byte of a whole cdb whether it is in a value.
func valueBytes(data []byte) []bool {
	in := make([]bool, len(data))
	pos := 2048
	for _, e := range entriesOf(data) {
		pos += 8 + len(e.key)
		for range len(e.value) {
			in[pos] = true
			pos++
		}
	}
	return in
}

func TestAFileThatIsTooShortOrTooLongIsCorrupt(t *testing.T) {
	for name, data := range oddFiles(t) {
		t.Run(name, func(t *testing.T) {
			for n := range data {
				d, err := policy.NewDatabase(data[:n:n])
				isCorrupt(t, d, err)
			}
			longer := append([]byte(nil), data...)
			for range 40 {
				longer = append(longer, 0)
				d, err := policy.NewDatabase(longer)
				isCorrupt(t, d, err)
			}
			twice := append(append([]byte(nil), data...), data...)
			d, err := policy.NewDatabase(twice)
			isCorrupt(t, d, err)
		})
	}
}

func TestHostileFilesAreCorrupt(t *testing.T) {
	// Two records of one table: the first at 2048, the second at 2066.
	pair := startingAt(1, 4, 2)
	const table, first, second = 77, 2048, 2048 + 8 + 2 + 7

	// patched returns the cdb of the pair with a number changed.
	patched := func(at int, number uint32) []byte {
		data := cdbmake(pair, 2)
		binary.LittleEndian.PutUint32(data[at:], number)
		return data
	}
	// laid returns it with its tables changed.
	laid := func(change func(l *layout)) []byte {
		l := lay(pair, 2)
		change(l)
		return l.bytes()
	}
	size := len(cdbmake(pair, 2))
	end := int(binary.LittleEndian.Uint32(cdbmake(pair, 2)))
	h := hash(pair[0].key)

	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "0 bytes are too few for a header"},
		{"most of a header", cdbmake(nil, 2)[:2047], "2047 bytes are too few for a header"},
		{"a header of zeros", make([]byte, 4096), "table 0 begins in the header"},
		{"a header of ones", []byte(strings.Repeat("\xff", 4096)), "table 1 begins at 4294967295, not at 38654705655"},
		{"a text", []byte(strings.Repeat("127.:allow,RELAYCLIENT=\"\"\n", 100)), "table 1 begins at"},
		{"a first table in the header", patched(0, 2047), "table 0 begins in the header"},
		{"a first table beyond the file", patched(0, 1<<31), "table 1 begins at"},
		{"a first table among the records", patched(0, 2048), "table 1 begins at"},
		{"a table before the one before it", patched(8*5, 2048), "table 5 begins at 2048, not at"},
		{"a table behind a hole", patched(8*5, uint32(end)+8), "table 5 begins at"},
		{"a table with all slots that a number can say", patched(8*5+4, 1<<32-1), "table 6 begins at"},
		{"slots for 4 GiB, which is 0 in 32 bits", patched(8*5+4, 1<<29), "table 6 begins at"},
		{"a last table with all slots", patched(8*255+4, 1<<32-1), "the tables end at"},
		{"a last table with slots for 4 GiB", patched(8*255+4, 1<<29), "the tables end at"},
		{"a last table with a slot too many", patched(8*255+4, 1), "the tables end at"},
		{"a slot less than there are", patched(8*table+4, 3), "table 78 begins at"},
		{"a key of 4 GiB", patched(first, 1<<32-1), "the record at 2048 reaches beyond the records"},
		{"a value of 4 GiB", patched(first+4, 1<<32-1), "the record at 2048 reaches beyond the records"},
		{"a last value that reaches into the tables", patched(end-len(pair[1].value)-len(pair[1].key)-4, 100), "reaches beyond the records"},
		{
			"lengths that come to a few bytes in 32 bits",
			laid(func(l *layout) {
				binary.LittleEndian.PutUint32(l.records, 1<<31)
				binary.LittleEndian.PutUint32(l.records[4:], 1<<31)
			}),
			"the record at 2048 reaches beyond the records",
		},
		{
			"half a record before the tables",
			laid(func(l *layout) { l.records = append(l.records, 0, 0, 0, 0) }),
			"is cut off",
		},
		{
			"an empty record without a slot",
			laid(func(l *layout) { l.records = append(l.records, 0, 0, 0, 0, 0, 0, 0, 0) }),
			"a record near 2048 has no slot",
		},
		{
			"a record without a slot",
			laid(func(l *layout) { l.tables[table][2] = slot{} }),
			"a record near 2048 has no slot",
		},
		{
			"no slots at all",
			laid(func(l *layout) { l.tables[table] = nil }),
			"more records than slots",
		},
		{
			"a record with two slots",
			laid(func(l *layout) { l.tables[table][3] = l.tables[table][1] }),
			"at 2048 no record begins, or one that has a slot",
		},
		{
			"one record in every slot, where a search would go round",
			laid(func(l *layout) {
				for i := range l.tables[table] {
					l.tables[table][i] = slot{h, first}
				}
			}),
			"at 2048 no record begins, or one that has a slot",
		},
		{
			"every slot in use without a record",
			laid(func(l *layout) {
				for i := range l.tables[table] {
					l.tables[table][i] = slot{h, 0}
				}
			}),
			"a hash without a record",
		},
		{
			"a free slot with a hash",
			laid(func(l *layout) { l.tables[table][0].hash = h }),
			"table 77, slot 0: a hash without a record",
		},
		{
			"a slot with another hash",
			laid(func(l *layout) { l.tables[table][1].hash += 256 }),
			"table 77, slot 1: not the slot of the record at 2048",
		},
		{
			"a slot without a hash",
			laid(func(l *layout) { l.tables[table][1].hash = 0 }),
			"table 77, slot 1: not the slot of the record at 2048",
		},
		{
			"a slot that leads to the header",
			laid(func(l *layout) { l.tables[table][1].pos = 8 }),
			"table 77, slot 1: at 8 no record begins",
		},
		{
			"a slot that leads into a record",
			laid(func(l *layout) { l.tables[table][1].pos = first + 1 }),
			"table 77, slot 1: at 2049 no record begins",
		},
		{
			"a slot that leads to the tables",
			laid(func(l *layout) { l.tables[table][1].pos = uint32(end) }),
			"table 77, slot 1: at ",
		},
		{
			"a slot that leads behind the file",
			laid(func(l *layout) { l.tables[table][1].pos = uint32(size) }),
			"table 77, slot 1: at ",
		},
		{
			"a slot that leads as far as a number can say",
			laid(func(l *layout) { l.tables[table][1].pos = 1<<32 - 1 }),
			"table 77, slot 1: at 4294967295 no record begins",
		},
		{
			"the table of another hash",
			laid(func(l *layout) { l.tables[table], l.tables[3] = nil, l.tables[table] }),
			"table 3, slot 1: not the slot of the record at 2048",
		},
		{
			"a free slot on the way",
			laid(func(l *layout) { l.tables[table][3], l.tables[table][2] = l.tables[table][2], slot{} }),
			"table 77, slot 3: the record at",
		},
		{
			"a slot before the search begins",
			laid(func(l *layout) { l.tables[table][0], l.tables[table][2] = l.tables[table][2], slot{} }),
			"table 77, slot 0: the record at",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := policy.NewDatabase(tt.data)
			isCorrupt(t, d, err)
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "corrupt cdb: ") {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
		})
		t.Run(tt.name+" takes no memory", func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			policy.NewDatabase(tt.data)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
				t.Errorf("%d bytes for a file of %d", took, len(tt.data))
			}
		})
	}
}

// A file of zeros with the header of an empty cdb is nothing but empty records,
// and takes hardly any room on a disk: 256 MiB of it must not take gigabytes.
func TestManyEmptyRecordsTakeNoMoreThanEightTimesTheMemoryOfTheFile(t *testing.T) {
	data := make([]byte, 1<<20)
	for table := range 256 {
		binary.LittleEndian.PutUint32(data[8*table:], uint32(len(data)))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, err := policy.NewDatabase(data)
	runtime.ReadMemStats(&after)
	isCorrupt(t, d, err)
	if took := after.TotalAlloc - before.TotalAlloc; took > 8*uint64(len(data)) {
		t.Errorf("a file of %d KiB takes %d KiB", len(data)>>10, took>>10)
	}
}

// TestADamagedFileIsCorruptOrReadAsItIs damages several places at once, with
// numbers that mean something there.
func TestADamagedFileIsCorruptOrReadAsItIs(t *testing.T) {
	whole := 0
	rapid.Check(t, func(t *rapid.T) {
		d := drawn(t)
		data := d.cdb()
		for range 1 + d(3) {
			d.damage(data)
		}
		database, err := policy.NewDatabase(data)
		if err != nil {
			isCorrupt(t, database, err)
			return
		}
		whole++
		findsWhatIsThere(t, database, data)
	})
	t.Logf("%d files were whole all the same", whole)
}

// cdb returns a whole cdb of few keys, some of them more than once.
func (d dice) cdb() []byte {
	var entries []entry
	for range d(8) {
		entries = append(entries, entry{d.one("", "a", "b", zeroKey, zeroHost, "127.", "10.1.2.3"), d.one("", "D\x00", "x")})
	}
	return cdbmake(entries, 1+d(3))
}

// damage does one thing to a cdb: it changes a number for one that may stand
// there, or exchanges two slots or two header entries.
func (d dice) damage(data []byte) {
	places := len(data) / 4
	place := func() []byte {
		if d(2) == 0 { // behind the header, where the file differs
			return data[4*(512+d(max(places-512, 1)))%(4*places):][:4]
		}
		return data[4*d(places):][:4]
	}
	if len(data) < 2048+16 || d(2) == 0 {
		numbers := []uint32{0, 1, 7, 8, 2048, 2056, uint32(len(data)), uint32(len(data) - 8), 1 << 29, 1 << 31, 1<<32 - 1, hash("a")}
		binary.LittleEndian.PutUint32(place(), numbers[d(len(numbers))])
		return
	}
	slots := (len(data) - 2048) / 8
	a, b := data[len(data)-8*(1+d(slots)):][:8], data[len(data)-8*(1+d(slots)):][:8]
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

func TestTheFirstOfEqualKeysIsFound(t *testing.T) {
	for _, key := range []string{"127.", zeroKey} {
		d := database(t, cdbmake([]entry{{"x", "0"}, {key, "first"}, {key, "second"}, {"y", "3"}, {key, "third"}}, 2))
		if value, found, err := d.Find([]byte(key)); string(value) != "first" || !found || err != nil {
			t.Errorf("Find(%q) = %q, %v, %v, want first", key, value, found, err)
		}
	}
}

// Which of two equal keys is the first, their slots say, and not their records.
// No known writer lets the two differ: to call such a file corrupt is as good.
func TestOfEqualKeysThatOfTheFirstSlotIsFound(t *testing.T) {
	for _, key := range []string{"127.", zeroKey} {
		l := lay([]entry{{key, "first"}, {key, "second"}}, 2)
		table := l.tables[hash(key)%256]
		at := hash(key) >> 8 % uint32(len(table))
		next := (at + 1) % uint32(len(table))
		table[at], table[next] = table[next], table[at]
		data := l.bytes()
		d, err := policy.NewDatabase(data)
		if err != nil {
			isCorrupt(t, d, err)
			continue
		}
		findsWhatIsThere(t, d, data)
	}
}

func TestTheZeroDatabaseHoldsNoRules(t *testing.T) {
	var d policy.Database
	for _, key := range []string{"", "127.", zeroKey} {
		if value, found, err := d.Find([]byte(key)); value != nil || found || err != nil {
			t.Errorf("Find(%q) = %q, %v, %v, want nothing", key, value, found, err)
		}
	}
	if d.NeedsHost() || d.NeedsInfo() {
		t.Error("it wants to know names")
	}
	want := policy.Decision{Verdict: policy.Allow}
	if diff := cmp.Diff(want, decide(t, peer("192.0.2.1"), &d)); diff != "" {
		t.Errorf("Decide (-want +got)\n%s", diff)
	}
}

func TestADatabaseServesManyAtOnce(t *testing.T) {
	for _, data := range [][]byte{mailServer(t), cdbmake(aroundZero(0), 2)} {
		d := database(t, data)
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 50 {
					for _, e := range entriesOf(data) {
						want, _ := lookup(data, e.key)
						if value, found, err := d.Find([]byte(e.key)); string(value) != want || !found || err != nil {
							t.Errorf("Find(%q) = %q, %v, %v, want %q", e.key, value, found, err, want)
						}
					}
				}
			})
		}
		wait.Wait()
	}
}
