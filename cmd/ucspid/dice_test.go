package main

import (
	"math/rand/v2"
	"strings"
)

// dice invent what an operator might write.
type dice struct {
	*rand.Rand
	*world
}

// one returns one of the words.
func (d dice) one(words ...string) string { return words[d.IntN(len(words))] }

// options returns options in an order and spelling of their own.
func (d dice) options() []string {
	var all []string // letters, those with an argument in two words
	for range d.IntN(6) {
		all = append(all, d.one("d", "D", "o", "O", "h", "H", "p", "P", "r", "R", "X", "q", "Q"))
	}
	for range d.IntN(3) {
		all = append(all, d.one("l 0", "l mail.example", "l", "l a:b%c\td", "l "+strings.Repeat("n", 120), "t 3", "c 2", "c 50", "B 220-hello\r\n", "B x"))
	}
	if d.IntN(6) > 0 {
		all = append(all, "x CDB")
	}
	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if d.IntN(6) > 0 {
		all = append(all, "v")
	}
	var words []string
	glue := false
	for _, option := range all {
		letter, argument, hasArgument := strings.Cut(option, " ")
		hasArgument = hasArgument || letter == "l"
		if glue {
			words[len(words)-1] += letter
		} else {
			words = append(words, "-"+letter)
		}
		switch glue = d.IntN(2) == 0; {
		case !hasArgument:
		case glue && argument != "":
			words[len(words)-1] += argument
			glue = false
		default:
			words = append(words, argument)
			glue = false
		}
	}
	return words
}

// rules returns the text of a few rules.
func (d dice) rules() string {
	var text string
	for range d.IntN(7) {
		text += d.address() + ":" + d.one("allow", "allow", "deny")
		for range d.IntN(3) {
			text += "," + d.one("A", "B", "RELAYCLIENT", "PROTO", "PATH", "HOME", "DNSCACHEIP", "",
				"TCPLOCALIP", "TCPLOCALPORT", "TCPLOCALHOST", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST", "TCPREMOTEINFO",
				"TCP6REMOTEIP", "LISTEN_FDS", "UCSPID_X") + d.one(`="ruled"`, "=/a,b:c/", `="é % "`, "=|127.0.0.1|")
		}
		text += "\n"
	}
	return text
}

func (d dice) address() string {
	c := characters[d.IntN(len(characters))]
	ip, host, info := d.ip(c.number), c.host, c.info
	switch d.IntN(12) {
	case 0, 1, 2:
		return ip
	case 3:
		return d.block
	case 4:
		return d.one("127.", "10.", "128.", d.block+"1", "1.2.3.4")
	case 5:
		return d.block + d.one("10-12", "0-255", "15-20", "53-1")
	case 6:
		return "=" + host
	case 7:
		return "=" + host[strings.IndexByte(host, '.')+1:]
	case 8:
		return d.one("=", "=.example", "=.org", "=.example.org", "=example.org")
	case 9:
		return strings.Map(printable, info) + "@" + ip
	case 10:
		return strings.Map(printable, info) + "@=" + host
	default:
		return ""
	}
}

// printable drops what would be no rule.
func printable(r rune) rune {
	if r < ' ' || r > '~' || r == ':' {
		return -1
	}
	return r
}
