package main

import (
	"fmt"
	"strings"
	"time"

	"ucspid/activation"
	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// What systemd hears while the program serves: the counts, and that no loop is
// stuck. How much it hears does not depend on how many connections there are.

// statusLine is the line that systemctl status shows.
type statusLine struct {
	noted chan string
}

func newStatusLine() *statusLine { return &statusLine{noted: make(chan string, 1)} }

// note adds a remark to the line, for as long as the process lives or until
// the next one.
func (s *statusLine) note(remark string) {
	select {
	case <-s.noted:
	default:
	}
	s.noted <- remark
}

// notifyPause keeps PID 1 from hearing more than one status a second, or being
// tried more often while it cannot be told.
const notifyPause = time.Second

// report shows the counts for as long as the process lives.
func (s *statusLine) report(server *ucspi.Server) {
	remark := ""
	for {
		n := server.Counts()
		err := activation.Status(fmt.Sprintf("%d/%d sessions; %d denied%s%s", n.Sessions, n.Limit, n.Denied, refusals(n), remark))
		time.Sleep(notifyPause)
		if err != nil {
			continue
		}
		select {
		case <-server.Changed():
		case text := <-s.noted:
			remark = "; " + text
		}
	}
}

// refusals tells how many connections limits refused, and which.
func refusals(n ucspi.Counts) string {
	var total uint64
	var each []string
	for reason, count := range n.Refused {
		if count > 0 {
			total += count
			each = append(each, fmt.Sprintf("%v %d", policy.Reason(reason), count))
		}
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf(", %d refused (%s)", total, strings.Join(each, ", "))
}

// keepAlive answers the watchdog while no accept loop is stuck, for as long as
// the process lives.
func keepAlive(server *ucspi.Server, interval time.Duration) {
	if interval == 0 {
		return
	}
	_ = activation.KeepAlive() // the process before may have been about to
	for {
		time.Sleep(interval / 2)
		for server.BusyFor(time.Now()) < interval && activation.KeepAlive() != nil {
			time.Sleep(min(notifyPause, interval/2))
		}
	}
}
