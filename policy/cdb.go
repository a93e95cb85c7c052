package policy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

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
	data []byte
	cdb  *cdb.CDB

	// zero tells that a key hashes to 0. The library takes that hash for an
	// empty slot: in table 0 it sees neither that key nor those behind it.
	zero bool

	lengths              Lengths
	needsHost, needsInfo bool
}

// NewDatabase checks the cdb in data from end to end and returns it, or a
// *CorruptError. Every record must be found by the hash of its key, and
// nothing else may be in the file: a changed byte is noticed unless it is in
// a record's value. The database keeps data.
func NewDatabase(data []byte) (*Database, error) {
	d := &Database{data: data}
	if err := d.check(); err != nil {
		return nil, err
	}
	reader, err := cdb.New(bytes.NewReader(data), hash)
	d.cdb = reader
	return d, err
}

// note learns from a key what must be known of a peer to judge it.
func (d *Database) note(key []byte) {
	if bytes.HasPrefix(key, []byte("=")) || bytes.Contains(key, []byte("@=")) {
		d.needsHost = true
	}
	if bytes.IndexByte(key, '@') >= 0 {
		d.needsInfo = true
	}
	d.lengths.note(key)
	if hash(key) == 0 {
		d.zero = true
	}
}

// NeedsHost tells whether a rule depends on the peer's host name.
func (d *Database) NeedsHost() bool { return d.needsHost }

// NeedsInfo tells whether a rule depends on the peer's ident answer.
func (d *Database) NeedsInfo() bool { return d.needsInfo }

// Lengths makes a Database a Finder.
func (d *Database) Lengths() Lengths { return d.lengths }

// Find makes a Database a Finder.
func (d *Database) Find(key []byte) ([]byte, bool, error) {
	if d.cdb == nil || !d.mayHold(key) {
		return nil, false, nil
	}
	if d.zero && hash(key)%tables == 0 {
		record, found := d.probe(key)
		return record, found, nil
	}
	record, err := d.cdb.Get(key)
	return record, record != nil, err // the library's empty record is not nil
}

// mayHold tells whether there are keys of this kind at all: most rules know
// nothing of names, and most keys of a peer are about them.
func (d *Database) mayHold(key []byte) bool {
	return (d.needsHost || !bytes.HasPrefix(key, []byte("="))) &&
		(d.needsInfo || bytes.IndexByte(key, '@') < 0)
}

// probe looks a key of table 0 up where the library cannot.
func (d *Database) probe(key []byte) ([]byte, bool) {
	t := d.table(0)
	for i := range t.slots {
		h, pos := d.slot(t, (hash(key)>>8+i)%t.slots)
		if pos == 0 {
			break
		}
		if found, record := d.record(uint64(pos)); h == hash(key) && bytes.Equal(found, key) {
			return record, true
		}
	}
	return nil, false
}

// hash is the hash of the cdb format.
func hash(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = h*33 ^ uint32(c)
	}
	return h
}

// table is where the slots of one table are.
type table struct {
	pos   uint64
	slots uint32
}

func (d *Database) pair(pos uint64) (uint32, uint32) {
	return binary.LittleEndian.Uint32(d.data[pos:]), binary.LittleEndian.Uint32(d.data[pos+4:])
}

func (d *Database) table(n uint32) table {
	pos, slots := d.pair(uint64(n) * pairSize)
	return table{uint64(pos), slots}
}

// slot returns the hash and the record's position in a slot, 0 for the
// position when the slot is free.
func (d *Database) slot(t table, n uint32) (hash, pos uint32) {
	return d.pair(t.pos + uint64(n)*pairSize)
}

// record returns the key and the value of the record at pos.
func (d *Database) record(pos uint64) (key, value []byte) {
	keyLen, valueLen := d.pair(pos)
	keyEnd := pos + pairSize + uint64(keyLen)
	return d.data[pos+pairSize : keyEnd], d.data[keyEnd : keyEnd+uint64(valueLen)]
}

// output is what a cdb can be written to.
type output interface {
	io.WriteSeeker
	io.ReaderAt
	io.WriterAt
}

// writeCDB writes the entries to w as cdbmake does, byte for byte. A key that
// hashes to 0 (39.160.226.88 does) takes a detour, for the library would lose
// it: it is written under a hash with the same way through table 0, and that
// is set to 0 afterwards.
func writeCDB(w output, entries iter.Seq2[string, []byte]) error {
	stand := standIn(entries)
	out, err := cdb.NewWriter(w, func(key []byte) uint32 {
		if h := hash(key); h != 0 {
			return h
		}
		return stand
	})
	if err != nil {
		return err
	}
	for key, record := range entries {
		if err := out.Put([]byte(key), record); err != nil {
			return err
		}
	}
	if _, err := out.Freeze(); err != nil || stand == 0 {
		return err
	}
	return resetHash(w, stand)
}

// standIn returns a hash that no key has, and that leads a search to the
// first slot of table 0 as the hash 0 does. It is 0 when no key needs it.
func standIn(entries iter.Seq2[string, []byte]) uint32 {
	inTable0 := make(map[uint32]bool)
	slots := uint32(0)
	for key := range entries {
		if h := hash([]byte(key)); h%tables == 0 {
			inTable0[h] = true
			slots += 2
		}
	}
	if !inTable0[0] {
		return 0
	}
	stand := slots * tables
	for inTable0[stand] {
		stand += slots * tables
	}
	return stand
}

// resetHash sets the hash to 0 in the slots of table 0 that have it.
func resetHash(w output, hash uint32) error {
	header := make([]byte, pairSize)
	if _, err := w.ReadAt(header, 0); err != nil {
		return err
	}
	pos := int64(binary.LittleEndian.Uint32(header))
	slots := make([]byte, pairSize*int64(binary.LittleEndian.Uint32(header[4:])))
	if _, err := w.ReadAt(slots, pos); err != nil {
		return err
	}
	for i := 0; i < len(slots); i += pairSize {
		if binary.LittleEndian.Uint32(slots[i:]) == hash {
			binary.LittleEndian.PutUint32(slots[i:], 0)
		}
	}
	_, err := w.WriteAt(slots, pos)
	return err
}
