package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// remark says what became of some words.
type remark struct {
	line  int
	words []string // as they stand in the file
	what  string
	hand  bool // somebody has to do something
}

// needHand tells whether somebody has to do something.
func needHand(remarks []remark) bool {
	return slices.ContainsFunc(remarks, func(r remark) bool { return r.hand })
}

// comment returns remarks as a comment with a heading.
func comment(heading string, remarks []remark) string {
	var out strings.Builder
	fmt.Fprintf(&out, "# From %s:\n", heading)
	for _, r := range merged(remarks) {
		out.WriteString(r.String())
	}
	return out.String()
}

// merged puts neighbours together of which the same is said.
func merged(remarks []remark) []remark {
	var all []remark
	for _, r := range remarks {
		if n := len(all) - 1; n >= 0 && all[n].what == r.what && all[n].line == r.line && all[n].hand == r.hand {
			all[n].words = append(all[n].words, r.words...)
			continue
		}
		r.words = slices.Clone(r.words)
		all = append(all, r)
	}
	return all
}

// width is how long a line of a comment may be.
const width = 100

func (r *remark) String() string {
	mark, text := "#   ", r.what
	if r.hand {
		mark = "# TODO "
	}
	if len(r.words) > 0 {
		text = strings.Join(r.words, " ") + ": " + r.what
	}
	if r.line > 0 {
		text = fmt.Sprintf("line %d: %s", r.line, text)
	}
	return wrap(mark, "#     ", text)
}

// wrap breaks a text into lines at blanks.
func wrap(first, others, text string) string {
	var out strings.Builder
	line := first
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			line += word
		case len(line)+1+len(word) > width:
			out.WriteString(line + "\n")
			line = others + word
		default:
			line += " " + word
		}
	}
	return out.String() + line + "\n"
}
