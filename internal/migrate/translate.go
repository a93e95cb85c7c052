package migrate

import (
	"fmt"
	"strings"
	"unicode"
)

// MaxSize is how long a file may be. The longest init scripts have a third.
const MaxSize = 32 << 10

// maxServices is how many servers a file may start.
const maxServices = 50

// Input is a file that starts servers. Where the name is that of a service
// directory's run, it says where its relative paths begin.
type Input struct {
	Name string
	Text []byte
}

// File is a file to be written. One without a path is a comment for whoever
// reads the output.
type File struct {
	Path, Text string
}

// Translate returns the files that mean the same as the inputs. They are not
// whole where something is left to do by hand.
func Translate(inputs []Input) (files []File, whole bool) {
	p := plan{made: make(map[string]string), whole: true}
	for _, input := range inputs {
		p.add(input.Name, read(input))
	}
	return p.files, p.whole
}

// reading is what was found in a file.
type reading struct {
	services []*service
	remarks  []remark // on what belongs to no service
}

// read reads a file within bounds.
func read(input Input) reading {
	if len(input.Text) > MaxSize {
		return unreadable(fmt.Sprintf("it is longer than %d bytes", MaxSize))
	}
	r := readKind(input.Name, clean(string(input.Text)))
	if len(r.services) > maxServices {
		return unreadable(fmt.Sprintf("it starts more than %d servers", maxServices))
	}
	return r
}

// readKind tells what kind of file it is.
func readKind(name, text string) reading {
	switch {
	case isXinetd(text):
		return readXinetd(text)
	case isInetd(text):
		return readInetd(text)
	}
	return readScript(name, text)
}

// unreadable is the reading of a file that is not understood.
func unreadable(why string) reading {
	return reading{remarks: []remark{{what: why, hand: true}}}
}

// unprintable stands for what no unit can hold. A word with it is not known.
const unprintable = "\uFFFD"

// clean returns a text with the line ends of Unix, in which each byte that
// is no text, such as a control character or the umlaut of an old comment, is
// marked.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, unprintable), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// plan is what all inputs together become.
type plan struct {
	files []File
	made  map[string]string // where each unit and each address was taken from
	whole bool
}

func (p *plan) add(name string, r reading) {
	if len(r.remarks) > 0 {
		p.files = append(p.files, File{Text: comment(name, r.remarks)})
		p.whole = p.whole && !needHand(r.remarks)
	}
	for _, s := range r.services {
		s.origin = fmt.Sprintf("%s, line %d", name, s.line)
		p.place(s)
	}
	if len(r.services) == 0 && len(r.remarks) == 0 {
		p.whole = false
		p.files = append(p.files, File{Text: comment(name, []remark{{what: "no server is started here", hand: true}})})
	}
}

// place adds the files of a service, unless another has its place.
func (p *plan) place(s *service) {
	_, s.second = p.made[string(qmailSMTP)]
	s.settle()
	unit, address := s.unit(), s.host.String()+":"+s.port
	before, taken := p.made[unit]
	if !taken {
		before, taken = p.made[address]
	}
	if taken {
		s.remarks = append(s.remarks, remark{what: "this port is that of " + before + " already; choose, or merge the two", hand: true})
		p.files = append(p.files, File{Text: asComment(s.files())})
	} else {
		p.made[unit], p.made[address] = s.origin, s.origin
		p.files = append(p.files, s.files()...)
	}
	p.whole = p.whole && !needHand(s.remarks)
}

// asComment shows files that are not made.
func asComment(files []File) string {
	var out strings.Builder
	for _, file := range files {
		for line := range strings.Lines(file.Text) {
			if !strings.HasPrefix(line, "#") {
				line = "# " + line
			}
			out.WriteString(line)
		}
	}
	return out.String()
}
