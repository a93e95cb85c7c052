package status

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// question is what is asked. The zero question asks for the report.
type question struct {
	Kill int `json:"kill,omitempty"` // the session to end
}

// answer is a report, or the error, or neither where something was done.
type answer struct {
	Error string `json:"error,omitempty"`
	*Report
}

// Server is what is asked about.
type Server interface {
	Summary() Summary
	Each() iter.Seq[Session]
	Kill(id int) error
}

const (
	patience    = time.Second // with who asks, for question and answer
	maxQuestion = 1024        // bytes
)

// Serve answers who connects, one after the other, until l is closed. Who
// neither asks nor reads keeps others waiting for a moment, and nobody else.
func Serve(l *net.UnixListener, s Server) {
	for {
		conn, err := l.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // short of descriptors or memory
			time.Sleep(time.Second)
			continue
		}
		serve(conn, s)
	}
}

func serve(conn *net.UnixConn, s Server) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return
	}
	var asked question
	if err := json.NewDecoder(io.LimitReader(conn, maxQuestion)).Decode(&asked); err != nil {
		return
	}
	if asked.Kill != 0 {
		_ = json.NewEncoder(conn).Encode(kill(conn, s, asked.Kill))
		return
	}
	_ = report(conn, s)
}

func kill(conn *net.UnixConn, s Server, id int) answer {
	if !isRoot(conn) {
		return answer{Error: "only root may end a session"}
	}
	if err := s.Kill(id); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{}
}

// report writes a Report, one session after the other: as one piece, that of
// thousands would be larger than all that the server needs for them.
func report(w io.Writer, s Server) error {
	out := bufio.NewWriter(w)
	summary, err := json.Marshal(s.Summary())
	if err != nil {
		return err
	}
	out.Write(bytes.TrimSuffix(summary, []byte("}")))
	out.WriteString(`,"sessions":[`)
	each, mark := json.NewEncoder(out), ""
	for one := range s.Each() {
		out.WriteString(mark)
		if err := each.Encode(&one); err != nil {
			return err
		}
		mark = ","
	}
	out.WriteString("]}\n")
	return out.Flush()
}

// isRoot tells whether root connected (SO_PEERCRED of unix(7)).
func isRoot(conn syscall.Conn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	root := false
	err = raw.Control(func(fd uintptr) {
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		root = err == nil && peer.Uid == 0
	})
	return err == nil && root
}
