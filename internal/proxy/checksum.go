package proxy

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/pires/go-proxyproto"
)

var errChecksum = errors.New("wrong checksum")

// check walks through the fields (TLV) behind the addresses of a header of
// version 2, and compares the checksum where it meets one. The library leaves
// that to us.
func check(b []byte) error {
	const head = 3 // a byte for the type of a field, two for the length of its value
	for at := fixed2 + addressesLength(b[fixed2-3]); at < len(b); {
		if len(b)-at < head {
			return errMalformed
		}
		value := at + head
		next := value + int(binary.BigEndian.Uint16(b[at+1:]))
		if next > len(b) {
			return errMalformed
		}
		if proxyproto.PP2Type(b[at]) == proxyproto.PP2_TYPE_CRC32C {
			if next-value != crc32.Size {
				return errMalformed
			}
			if binary.BigEndian.Uint32(b[value:]) != checksum(b, value) {
				return errChecksum
			}
		}
		at = next
	}
	return nil
}

// checksum returns the CRC32C of a header with zeros in its place, at offset.
func checksum(b []byte, offset int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, b[:offset])
	sum = crc32.Update(sum, table, make([]byte, crc32.Size))
	return crc32.Update(sum, table, b[offset+crc32.Size:])
}

// addressesLength returns the length of both addresses and ports of a family,
// which is the upper half of its byte.
func addressesLength(family byte) int {
	switch family >> 4 {
	case 1: // IPv4
		return 2*4 + 2*2
	case 2: // IPv6
		return 2*16 + 2*2
	case 3: // Unix
		return 2 * 108
	}
	return 0
}
