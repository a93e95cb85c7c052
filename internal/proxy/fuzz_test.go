package proxy

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// FuzzHeader: of hostile bytes the length never changes its mind while more of
// them come, and it is where the library stops reading, too. What is taken for
// a header names two ends or none.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.25 12345 25\r\nEHLO"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := length(b)
		if n > maxLength2 || n != 0 && err != nil {
			t.Fatalf("length = %d, %v", n, err)
		}
		for i := range b {
			early, earlyErr := length(b[:i])
			if early != 0 && early != n || earlyErr != nil && earlyErr != err {
				t.Fatalf("after %d bytes the length is %d (%v), in the end %d (%v)", i, early, earlyErr, n, err)
			}
		}
		if n == 0 || n > len(b) {
			return
		}
		h, err := parse(b[:n])
		if err != nil {
			if h != (Header{}) {
				t.Fatalf("an error, and %v", h)
			}
			return
		}
		if h.Source.IsValid() != h.Destination.IsValid() || h.Source.Addr().Is4In6() || h.Destination.Addr().Is4In6() {
			t.Fatalf("between %v", h)
		}
		const after = "EHLO"
		in := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(b[:n]), strings.NewReader(after)), 2*maxLength2)
		if _, err := proxyproto.Read(in); err != nil {
			t.Fatalf("with more behind it: %v", err)
		}
		if rest, _ := io.ReadAll(in); string(rest) != after {
			t.Fatalf("the library leaves %q", rest)
		}
	})
}
