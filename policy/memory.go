package policy

import "io"

// memory is an output that is no file.
type memory struct {
	data []byte
	pos  int
}

// Write writes p where the last write or seek ended.
func (m *memory) Write(p []byte) (int, error) {
	n, err := m.WriteAt(p, int64(m.pos))
	m.pos += n
	return n, err
}

// Seek goes to a place from the beginning; there is no other whence.
func (m *memory) Seek(offset int64, _ int) (int64, error) {
	m.pos = int(offset)
	return offset, nil
}

// ReadAt makes a memory an output.
func (m *memory) ReadAt(p []byte, offset int64) (int, error) {
	n := copy(p, m.data[min(int(offset), len(m.data)):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt makes a memory an output.
func (m *memory) WriteAt(p []byte, offset int64) (int, error) {
	if missing := int(offset) + len(p) - len(m.data); missing > 0 {
		m.data = append(m.data, make([]byte, missing)...)
	}
	return copy(m.data[offset:], p), nil
}
