package policy

import (
	"bytes"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Records yields the key and the value of each record, in the order of the
// file. They belong to the database and must not be changed.
func (d *Database) Records() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		if len(d.data) == 0 {
			return
		}
		for pos := uint64(headerSize); pos < d.table(0).pos; {
			key, value := d.record(pos)
			if !yield(key, value) {
				return
			}
			pos += pairSize + uint64(len(key)) + uint64(len(value))
		}
	}
}

// Is tells whether the rules compile to this database, byte for byte.
func (d *Database) Is(s *Ruleset) (bool, error) {
	var compiled memory
	if err := writeCDB(&compiled, s.entries()); err != nil {
		return false, err
	}
	return bytes.Equal(compiled.data, d.data), nil
}

// Text returns the rules as text that compiles to the same records: a line for
// each, in the order of the file. For a record that no line gives there is a
// comment, with a rule that does the same where there is one; lost is how many
// of them there are.
func (d *Database) Text() (text []byte, lost int) {
	for key, record := range d.Records() {
		line, ok := lineOf(string(key), record)
		if !ok {
			lost++
			line = commentOf(string(key), record)
		}
		text = append(append(text, line...), '\n')
	}
	return text, lost
}

// lineOf returns the line that compiles to just this record.
func lineOf(key string, record []byte) (line string, ok bool) {
	verdict, env := decodeRecord(record)
	for address := range addressesOf(key) {
		line := (&Rule{Address: address, Verdict: verdict, Env: env}).String()
		if gives(line, key, record) {
			return line, true
		}
	}
	return "", false
}

// gives tells whether a line compiles to just this record.
func gives(line, key string, record []byte) bool {
	rule, err := parseLine([]byte(line))
	if err != nil || rule == nil || strings.Contains(line, "\n") {
		return false
	}
	keys := slices.Collect(rule.Keys())
	return len(keys) == 1 && keys[0] == key && bytes.Equal(appendRecord(nil, rule), record)
}

// addressesOf yields the addresses that may have the key, the best one first:
// in the end those with a range of one number, behind which tcprules(1) takes
// any text as it is.
func addressesOf(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(AddressOf(key)) || !yield(key) {
			return
		}
		pos := 0
		for part := range strings.SplitSeq(key, ".") {
			end := pos + len(part)
			if _, err := strconv.ParseUint(part, 10, 8); err == nil && !yield(key[:end]+"-"+part+key[end:]) {
				return
			}
			pos = end + 1
		}
	}
}

// commentOf returns a comment for a record that no line gives.
func commentOf(key string, record []byte) string {
	comment := fmt.Sprintf("# no line gives the record with the key %q and the data %q", key, record)
	if address, ok := debianAddress(key); ok {
		key, _, _ = parseAddress(address)
	}
	verdict, env := decodeRecord(record)
	if line, ok := lineOf(key, appendRecord(nil, &Rule{Verdict: verdict, Env: env})); ok {
		return comment + "; this one does the same:\n# " + line
	}
	return comment
}

// debianAddress returns the address of the peers that Debian's ucspi-tcp-ipv6
// finds under a key of IPv6. There is none for 2001:db8:: and the like, which
// it finds for any address that begins so, too.
func debianAddress(key string) (string, bool) {
	info, text := cutInfo(key)
	ip, err := netip.ParseAddr(text)
	if err == nil && ip.Is6() && !ip.Is4In6() && shortText(ip) == text && !strings.HasSuffix(text, ":") {
		return info + ip.String(), true
	}
	prefix, ok := debianPrefix(key)
	return prefix.String(), ok
}

// debianPrefix returns the prefix that the beginning of an IPv6 address with
// its colon means, such as 2001:db8: does. There is none where a group is 0:
// whether it is written depends on the rest of the address.
func debianPrefix(key string) (netip.Prefix, bool) {
	groups := strings.Count(key, ":")
	ip, err := netip.ParseAddr(key + strings.TrimPrefix(strings.Repeat(":ffff", max(0, 8-groups)), ":"))
	if err != nil || strings.Contains(key, "::") || !strings.HasSuffix(key, ":") || !strings.HasPrefix(shortText(ip), key) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(ip, 16*groups).Masked(), true
}
