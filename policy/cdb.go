package policy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/colinmarc/cdb"
)

// The cdb format, https://cr.yp.to/cdb/cdb.txt: a header of 256 tables
// (position, slots), then the records (key length, value length, key, value),
// then the tables' slots (hash, position). All numbers are 32 bits, the low
// byte first.
const (
	pairSize   = 8
	tables     = 256
	headerSize = tables * pairSize
)

// CorruptError tells in what way a file is not a cdb.
type CorruptError struct{ Reason string }

// Error returns the reason.
func (e *CorruptError) Error() string { return "corrupt cdb: " + e.Reason }

func corrupt(format string, args ...any) error {
	return &CorruptError{fmt.Sprintf(format, args...)}
}

// Database is a compiled ruleset: a cdb in memory that was found to be whole.
// The zero Database holds no rules. It may be used by several goroutines.
type Database struct {
	cdb *cdb.CDB

	// aside holds the records of table 0 when one of its keys hashes to 0.
	// The library takes that hash for an empty slot, and so sees neither that
	// key nor those that come after it.
	aside map[string][]byte

	needsHost, needsInfo bool
}

// NewDatabase checks the cdb in data from end to end and returns it, or a
// *CorruptError. Every record must be found by the hash of its key, and
// nothing else may be in the file: a changed byte is noticed unless it is in
// a record's value. The database keeps data.
func NewDatabase(data []byte) (*Database, error) {
	records, err := check(data)
	if err != nil {
		return nil, err
	}
	reader, err := cdb.New(bytes.NewReader(data), hash)
	if err != nil {
		return nil, err
	}
	d := &Database{cdb: reader}
	for _, r := range records {
		d.note(r.key)
	}
	if slices.ContainsFunc(records, func(r record) bool { return r.hash == 0 }) {
		d.setAside(records)
	}
	return d, nil
}

// note learns from a key what must be known of a peer to judge it.
func (d *Database) note(key []byte) {
	if bytes.HasPrefix(key, []byte("=")) || bytes.Contains(key, []byte("@=")) {
		d.needsHost = true
	}
	if bytes.IndexByte(key, '@') >= 0 {
		d.needsInfo = true
	}
}

// setAside copies the records of table 0, the first of each key.
func (d *Database) setAside(records []record) {
	d.aside = make(map[string][]byte)
	for _, r := range records {
		if _, taken := d.aside[string(r.key)]; !taken && r.table() == 0 {
			d.aside[string(r.key)] = r.value
		}
	}
}

// NeedsHost tells whether a rule depends on the peer's host name.
func (d *Database) NeedsHost() bool { return d.needsHost }

// NeedsInfo tells whether a rule depends on the peer's ident answer.
func (d *Database) NeedsInfo() bool { return d.needsInfo }

// Find makes a Database a Finder.
func (d *Database) Find(key []byte) ([]byte, bool, error) {
	if d.aside != nil && hash(key)%tables == 0 {
		value, found := d.aside[string(key)]
		return value, found, nil
	}
	if d.cdb == nil {
		return nil, false, nil
	}
	value, err := d.cdb.Get(key)
	return value, value != nil, err // the library's empty value is not nil
}

// writeCDB writes the entries to w as cdbmake does, byte for byte.
func writeCDB(w io.WriteSeeker, entries iter.Seq2[string, []byte]) error {
	out, err := cdb.NewWriter(w, hash)
	if err != nil {
		return err
	}
	for key, value := range entries {
		if hash([]byte(key)) == 0 {
			return fmt.Errorf("address %q: cannot be stored, its hash is 0", key)
		}
		if err := out.Put([]byte(key), value); err != nil {
			return err
		}
	}
	_, err = out.Freeze()
	return err
}

// hash is the hash of the cdb format.
func hash(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = h*33 ^ uint32(c)
	}
	return h
}

// record is one entry of a cdb, as parts of the file.
type record struct {
	pos        uint64
	hash       uint32
	key, value []byte
}

func (r record) table() uint32 { return r.hash % tables }

// check returns the records of a cdb, in the order of the file, or a
// *CorruptError.
func check(data []byte) ([]record, error) {
	if len(data) < headerSize {
		return nil, corrupt("%d bytes are too few for a header", len(data))
	}
	end, err := checkHeader(data)
	if err != nil {
		return nil, err
	}
	records, err := readRecords(data, end)
	if err != nil {
		return nil, err
	}
	return records, checkSlots(data, records)
}

// pair returns the two numbers at pos.
func pair(data []byte, pos uint64) (uint32, uint32) {
	return binary.LittleEndian.Uint32(data[pos:]), binary.LittleEndian.Uint32(data[pos+4:])
}

// checkHeader makes sure that the tables follow each other to the end of the
// file, and returns where the records end: where the first table begins.
func checkHeader(data []byte) (end uint64, err error) {
	first, _ := pair(data, 0)
	end = uint64(first)
	if end < headerSize {
		return 0, corrupt("table 0 begins in the header")
	}
	next := end
	for i := range uint64(tables) {
		pos, slots := pair(data, i*pairSize)
		if uint64(pos) != next {
			return 0, corrupt("table %d begins at %d, not at %d", i, pos, next)
		}
		next += uint64(slots) * pairSize
	}
	if next != uint64(len(data)) {
		return 0, corrupt("the tables end at %d, the file at %d", next, len(data))
	}
	return end, nil
}

// readRecords reads the records that fill the file from the header to end.
func readRecords(data []byte, end uint64) ([]record, error) {
	var records []record
	for pos := uint64(headerSize); pos < end; {
		if end-pos < pairSize {
			return nil, corrupt("the record at %d is cut off", pos)
		}
		keyLen, valueLen := pair(data, pos)
		keyEnd := pos + pairSize + uint64(keyLen)
		valueEnd := keyEnd + uint64(valueLen)
		if valueEnd > end {
			return nil, corrupt("the record at %d reaches beyond the records", pos)
		}
		key := data[pos+pairSize : keyEnd]
		records = append(records, record{pos, hash(key), key, data[keyEnd:valueEnd]})
		pos = valueEnd
	}
	return records, nil
}

// checkSlots makes sure that each record is in exactly one slot, and that a
// search for its key gets there.
func checkSlots(data []byte, records []record) error {
	taken := make([]bool, len(records))
	count := 0
	for t := range uint32(tables) {
		n, err := checkTable(data, t, records, taken)
		if err != nil {
			return err
		}
		count += n
	}
	if count != len(records) {
		return corrupt("%d records, but %d slots in use", len(records), count)
	}
	return nil
}

// checkTable checks the slots of one table, marks their records as taken and
// returns how many there are. A search begins at the slot that the hash names
// and ends at the first free one, so that all slots between must be in use.
func checkTable(data []byte, table uint32, records []record, taken []bool) (int, error) {
	pos, slots := pair(data, uint64(table)*pairSize)
	slot := func(i uint32) (uint32, uint32) { return pair(data, uint64(pos)+uint64(i)*pairSize) }
	count := 0
	run := usedAtEnd(slot, slots) // slots in use without a gap before this one
	for i := range slots {
		h, at := slot(i)
		if at == 0 {
			if h != 0 {
				return 0, corrupt("table %d, slot %d: a hash without a record", table, i)
			}
			run = 0
			continue
		}
		n, found := slices.BinarySearchFunc(records, uint64(at), byPosition)
		switch {
		case !found:
			return 0, corrupt("table %d, slot %d: no record begins at %d", table, i, at)
		case taken[n]:
			return 0, corrupt("table %d, slot %d: the record at %d has a slot already", table, i, at)
		case h != records[n].hash || table != records[n].table():
			return 0, corrupt("table %d, slot %d: not the slot of the record at %d", table, i, at)
		case (i+slots-(h>>8)%slots)%slots > run:
			return 0, corrupt("table %d, slot %d: the record at %d is out of reach", table, i, at)
		}
		taken[n] = true
		count++
		run++
	}
	return count, nil
}

func byPosition(r record, pos uint64) int {
	switch {
	case r.pos < pos:
		return -1
	case r.pos > pos:
		return 1
	}
	return 0
}

// usedAtEnd counts the slots in use at the end of a table: a search that
// comes there goes on at slot 0.
func usedAtEnd(slot func(uint32) (uint32, uint32), slots uint32) uint32 {
	for n := range slots {
		if _, at := slot(slots - 1 - n); at == 0 {
			return n
		}
	}
	return slots
}
