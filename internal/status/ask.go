package status

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"
)

// askPatience is longer than a service takes to start, as it may have to, or to
// begin anew.
const askPatience = 15 * time.Second

// Refusal is what a server says that was asked, and does not do it.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Ask returns the report of the server behind the socket at path.
func Ask(path string) (*Report, error) {
	a, err := ask(path, question{})
	if err != nil {
		return nil, err
	}
	return a.Report, nil
}

// Kill has the server behind the socket at path end a session.
func Kill(path string, id int) error {
	_, err := ask(path, question{Kill: id})
	return err
}

func ask(path string, q question) (*answer, error) {
	conn, err := net.DialTimeout("unix", path, askPatience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(askPatience)); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return nil, err
	}
	a := &answer{Report: &Report{}}
	err = json.NewDecoder(conn).Decode(a)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("no answer: the server ended, or is busy; ask again")
	case err != nil:
		return nil, err
	case a.Error != "":
		return nil, Refusal(a.Error)
	}
	return a, nil
}
