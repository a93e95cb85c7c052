package migrate

import (
	"path"
	"strconv"
	"strings"
)

// kind is how much is known of a value.
type kind int

const (
	literal   kind = iota // the text itself
	firstLine             // the first line of the file that text names
	userID                // the number of the user that text names
	groupID               // the number of the group that this user has
	unknown               // it depends on more than the script; text says on what
)

// value is what a word of a script comes to.
type value struct {
	kind kind
	text string
	all  bool // the whole file is read, of which mostly the first line counts
}

// maxText bounds a text that is put together, for one may double at each step.
const maxText = 1024

func known(text string) value {
	if len(text) > maxText {
		return notKnown("it is too long")
	}
	return value{kind: literal, text: text}
}

func notKnown(why string) value { return value{kind: unknown, text: why} }

// account returns the name or number of a user or group, "" where it is not
// known.
func (v value) account() string {
	switch {
	case v.kind == literal && isAccount(v.text), v.kind == userID && isAccount(v.text):
		return v.text
	case v.kind == groupID:
		return groupOf(v.text)
	}
	return ""
}

// why tells why a value cannot be written down.
func (v value) why() string {
	switch v.kind {
	case literal:
		return strconv.Quote(v.text) + " cannot be written here"
	case firstLine:
		return "what stands in " + v.text + " is not known here"
	case userID, groupID:
		return "the number of " + v.text + " is not known here"
	}
	return v.text
}

// followedBy returns the value of a word in which w stands behind v.
func (v value) followedBy(w value) value {
	switch {
	case v.kind == literal && w.kind == literal:
		return known(v.text + w.text)
	case v == known(""):
		return w
	case w == known(""):
		return v
	case v.kind == unknown:
		return v
	case w.kind == unknown:
		return w
	}
	return notKnown("it is put together from what a command prints")
}

// word is a word of a line: its value, and how it is written.
type word struct {
	value
	source string
	split  bool // what a command prints is several words
}

// base returns the name of a program without its directory; "" where it is not
// known.
func (w word) base() string {
	if w.kind != literal || w.text == "" {
		return ""
	}
	return path.Base(w.text)
}

// sources returns words as they are written, those that are.
func sources(words []word) []string {
	var all []string
	for _, w := range words {
		if w.source != "" {
			all = append(all, w.source)
		}
	}
	return all
}

// literals returns the text of words, and whether all are known.
func literals(words []word) ([]string, bool) {
	var all []string
	for _, w := range words {
		if w.kind != literal {
			return nil, false
		}
		all = append(all, w.text)
	}
	return all, true
}

// checked returns a value that a unit can hold.
func checked(v value) value {
	if v.kind != unknown && strings.Contains(v.text, unprintable) {
		return notKnown("it has a byte that is no text")
	}
	return v
}
