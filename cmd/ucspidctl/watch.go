package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"ucspid/internal/exit"
)

// What a terminal is told (console_codes(4)).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearRest   = "\x1b[K" // of the line
	clearBelow  = "\x1b[J"
)

const watchPause = 2 * time.Second

// watch shows the status on a terminal until a signal ends it. It also shows
// when the server is away, and goes on when it is back.
func watch(socket string, terminal *os.File) error {
	if columns, _ := sizeOf(terminal); columns == 0 {
		return errors.New("option --watch: stdout is no terminal")
	}
	if _, err := ask(socket); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGWINCH)
	fmt.Fprint(terminal, enterScreen)
	defer fmt.Fprint(terminal, leaveScreen)
	ticks := time.NewTicker(watchPause)
	defer ticks.Stop()
	for {
		if _, err := terminal.Write(screen(socket, terminal)); err != nil {
			return exit.Retry(err)
		}
		select {
		case <-ticks.C:
		case s := <-signals:
			if s != syscall.SIGWINCH {
				return nil
			}
		}
	}
}

// screen returns what the terminal is to show now. It is written over what was
// there, in one piece, so that nothing flickers.
func screen(socket string, terminal *os.File) []byte {
	columns, rows := sizeOf(terminal)
	var shown []string
	if report, err := ask(socket); err != nil {
		for _, line := range exit.Lines(err) {
			shown = append(shown, cut(line, columns))
		}
	} else {
		shown = lines(report, time.Now(), columns)
	}
	if more := len(shown) - rows; more > 0 && rows > 0 {
		shown = append(shown[:rows-1], cut(fmt.Sprintf("and %d more", more+1), columns))
	}
	var out bytes.Buffer
	out.WriteString(home)
	out.WriteString(strings.Join(shown, clearRest+"\r\n"))
	out.WriteString(clearRest + clearBelow)
	return out.Bytes()
}
