package policy_test

import "encoding/binary"

// The cdb format once more, as small as it goes and without a care: the tests
// need files that no careful writer makes.

type entry struct{ key, value string }

func hash(key string) uint32 {
	h := uint32(5381)
	for i := range len(key) {
		h = (h<<5 + h) ^ uint32(key[i])
	}
	return h
}

// slot is one place in a table. The position 0 marks a free one.
type slot struct{ hash, pos uint32 }

// layout is a cdb before it is bytes.
type layout struct {
	records []byte // what lies between the header and the tables
	tables  [256][]slot
}

// lay places the entries as cdbmake does: in the order given, with a number of
// slots for each, 2 in an original. With 1 no slot stays free.
func lay(entries []entry, slotsEach int) *layout {
	l := &layout{}
	placed := [256][]slot{}
	for _, e := range entries {
		h := hash(e.key)
		placed[h%256] = append(placed[h%256], slot{h, l.add(e)})
	}
	for i, slots := range placed {
		table := make([]slot, len(slots)*slotsEach)
		for _, s := range slots {
			at := int(s.hash>>8) % len(table)
			for table[at].pos != 0 {
				at = (at + 1) % len(table)
			}
			table[at] = s
		}
		l.tables[i] = table
	}
	return l
}

// add appends a record and returns its position.
func (l *layout) add(e entry) uint32 {
	pos := uint32(2048 + len(l.records))
	l.records = pairOf(l.records, uint32(len(e.key)), uint32(len(e.value)))
	l.records = append(append(l.records, e.key...), e.value...)
	return pos
}

func (l *layout) bytes() []byte {
	header, slots := []byte(nil), []byte(nil)
	for _, table := range l.tables {
		header = pairOf(header, uint32(2048+len(l.records)+len(slots)), uint32(len(table)))
		for _, s := range table {
			slots = pairOf(slots, s.hash, s.pos)
		}
	}
	return append(append(header, l.records...), slots...)
}

func pairOf(b []byte, first, second uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, first), second)
}

func cdbmake(entries []entry, slotsEach int) []byte { return lay(entries, slotsEach).bytes() }

// lookup searches a whole cdb as the original reader does.
func lookup(data []byte, key string) (value string, found bool) {
	number := func(at uint32) uint32 { return binary.LittleEndian.Uint32(data[at:]) }
	h := hash(key)
	table, slots := number(h%256*8), number(h%256*8+4)
	for n := range slots {
		at := table + (h>>8%slots+n)%slots*8
		pos := number(at + 4)
		if pos == 0 {
			return "", false
		}
		if number(at) != h || number(pos) != uint32(len(key)) {
			continue
		}
		text := string(data[pos+8 : pos+8+number(pos)+number(pos+4)])
		if text[:len(key)] == key {
			return text[len(key):], true
		}
	}
	return "", false
}

// entriesOf returns the records of a whole cdb in the order of the file.
func entriesOf(data []byte) []entry {
	var all []entry
	end := binary.LittleEndian.Uint32(data)
	for pos := uint32(2048); pos < end; {
		keyEnd := pos + 8 + binary.LittleEndian.Uint32(data[pos:])
		valueEnd := keyEnd + binary.LittleEndian.Uint32(data[pos+4:])
		all = append(all, entry{string(data[pos+8 : keyEnd]), string(data[keyEnd:valueEnd])})
		pos = valueEnd
	}
	return all
}
