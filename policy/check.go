package policy

// check makes sure that the file is a cdb from its first byte to its last, and
// learns what its keys need. What the other methods rely on holds after it.
func (d *Database) check() error {
	if len(d.data) < headerSize {
		return corrupt("%d bytes are too few for a header", len(d.data))
	}
	slots, err := d.checkHeader()
	if err != nil {
		return err
	}
	records, err := d.checkRecords(slots)
	if err != nil {
		return err
	}
	return d.checkSlots(records)
}

// checkHeader makes sure that the tables follow each other from the end of
// the records to the end of the file. It returns how many slots there are.
func (d *Database) checkHeader() (slots uint64, err error) {
	next := d.table(0).pos
	if next < headerSize {
		return 0, corrupt("table 0 begins in the header")
	}
	for i := range uint32(tables) {
		t := d.table(i)
		if t.pos != next {
			return 0, corrupt("table %d begins at %d, not at %d", i, t.pos, next)
		}
		next += uint64(t.slots) * pairSize
		slots += uint64(t.slots)
	}
	if next != uint64(len(d.data)) {
		return 0, corrupt("the tables end at %d, the file at %d", next, len(d.data))
	}
	return slots, nil
}

// starts is the set of positions at which a record begins.
type starts []uint64

func newStarts(size uint64) starts { return make(starts, size/64+1) }

func (s starts) add(pos uint64)      { s[pos/64] |= 1 << (pos % 64) }
func (s starts) remove(pos uint64)   { s[pos/64] &^= 1 << (pos % 64) }
func (s starts) has(pos uint64) bool { return pos/64 < uint64(len(s)) && s[pos/64]&(1<<(pos%64)) != 0 }

// checkRecords makes sure that records fill the file from the header to the
// first table, and are not more than the slots.
func (d *Database) checkRecords(slots uint64) (starts, error) {
	end := d.table(0).pos
	begins := newStarts(end)
	for pos := uint64(headerSize); pos < end; {
		if slots == 0 {
			return nil, corrupt("more records than slots")
		}
		if end-pos < pairSize {
			return nil, corrupt("the record at %d is cut off", pos)
		}
		keyLen, valueLen := d.pair(pos)
		next := pos + pairSize + uint64(keyLen) + uint64(valueLen)
		if next > end {
			return nil, corrupt("the record at %d reaches beyond the records", pos)
		}
		key, _ := d.record(pos)
		d.note(key)
		begins.add(pos)
		slots--
		pos = next
	}
	return begins, nil
}

// checkSlots makes sure that each record is in exactly one slot, and that a
// search for its key gets there.
func (d *Database) checkSlots(records starts) error {
	for n := range uint32(tables) {
		if err := d.checkTable(n, records); err != nil {
			return err
		}
	}
	for i, left := range records {
		if left != 0 {
			return corrupt("a record near %d has no slot", i*64)
		}
	}
	return nil
}

// checkTable checks the slots of one table and removes their records from the
// set. A search begins at the slot that the hash names and ends at the first
// free one, so that all slots between must be in use.
func (d *Database) checkTable(number uint32, records starts) error {
	t := d.table(number)
	run := d.usedAtEnd(t) // slots in use without a gap before this one
	for i := range t.slots {
		h, at := d.slot(t, i)
		pos := uint64(at)
		switch {
		case pos == 0 && h != 0:
			return corrupt("table %d, slot %d: a hash without a record", number, i)
		case pos == 0:
			run = 0
			continue
		case !records.has(pos):
			return corrupt("table %d, slot %d: at %d no record begins, or one that has a slot", number, i, pos)
		}
		key, _ := d.record(pos)
		switch {
		case h != hash(key) || h%tables != number:
			return corrupt("table %d, slot %d: not the slot of the record at %d", number, i, pos)
		case (i+t.slots-(h>>8)%t.slots)%t.slots > run:
			return corrupt("table %d, slot %d: the record at %d is out of reach", number, i, pos)
		}
		records.remove(pos)
		run++
	}
	return nil
}

// usedAtEnd counts the slots in use at the end of a table: a search that
// comes there goes on at slot 0.
func (d *Database) usedAtEnd(t table) uint32 {
	for n := range t.slots {
		if _, pos := d.slot(t, t.slots-1-n); pos == 0 {
			return n
		}
	}
	return t.slots
}
