package migrate

import (
	"maps"
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// scope is what is known at a place in a script.
type scope struct {
	vars     map[string]value
	exported map[string]bool
	cwd      string // "": not known
	moved    bool   // the script went there
	included string // what was run from another file, and may have set anything
	umask    string // "": as it was
}

func newScope(cwd string) scope {
	// PATH is in the environment already, so whoever sets it exports it.
	return scope{vars: make(map[string]value), exported: map[string]bool{"PATH": true}, cwd: cwd}
}

func (s *scope) clone() scope {
	part := *s
	part.vars, part.exported = maps.Clone(s.vars), maps.Clone(s.exported)
	return part
}

// join makes unknown what a part of the script changed that may not be run.
func (s *scope) join(part scope) {
	for name, v := range part.vars {
		if before, set := s.vars[name]; !set || before != v {
			s.vars[name] = notKnown("$" + name + " is set under a condition, or in a loop")
		}
	}
	maps.Copy(s.exported, part.exported)
	if s.cwd != part.cwd {
		s.cwd = ""
	}
	if s.included == "" {
		s.included = part.included
	}
}

// forget makes unknown what another script may have changed.
func (s *scope) forget(script string) {
	s.included = script
	for name := range s.vars {
		s.vars[name] = notKnown("$" + name + " may be set by " + script)
	}
}

func (s *scope) lookup(name string) value {
	if v, set := s.vars[name]; set {
		return v
	}
	if s.included != "" {
		return notKnown("$" + name + " may be set by " + s.included)
	}
	if name == "HOSTNAME" {
		return value{kind: firstLine, text: "/etc/hostname"}
	}
	return notKnown("$" + name + " is not set in this file")
}

// absolute returns a path from the root, or "" where nobody can know it.
func (s *scope) absolute(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	if s.cwd == "" || name == "" {
		return ""
	}
	return path.Join(s.cwd, name)
}

// blanks part the words of a variable without quotes.
const blanks = " \t\n"

// field is a word while it is put together.
type field struct {
	value
	begun bool // an empty text was quoted, or something is in it
}

// expand returns the values that a word comes to. It is one, but where a
// variable without quotes is empty or has blanks.
func (s *scope) expand(w *syntax.Word) []value {
	fields := make([]field, 1)
	add := func(v value, whole bool) {
		last := &fields[len(fields)-1]
		last.value = last.followedBy(v)
		last.begun = last.begun || whole || v != known("")
	}
	for _, part := range w.Parts {
		v, split := s.part(part)
		if !split || v.kind != literal {
			add(v, !split)
			continue
		}
		if strings.TrimLeft(v.text, blanks) != v.text {
			fields = append(fields, field{})
		}
		for i, piece := range strings.Fields(v.text) {
			if i > 0 {
				fields = append(fields, field{})
			}
			add(known(piece), true)
		}
		if strings.TrimRight(v.text, blanks) != v.text {
			fields = append(fields, field{})
		}
	}
	var values []value
	for _, f := range fields {
		if f.begun {
			values = append(values, checked(f.value))
		}
	}
	return values
}

// single returns the value of a word that is not split, such as one that is
// assigned.
func (s *scope) single(w *syntax.Word) value {
	v := known("")
	if w == nil {
		return v
	}
	for _, part := range w.Parts {
		next, _ := s.part(part)
		v = v.followedBy(next)
	}
	return checked(v)
}

// part returns the value of a part of a word, and whether it is split at
// blanks.
func (s *scope) part(part syntax.WordPart) (v value, split bool) {
	switch part := part.(type) {
	case *syntax.Lit:
		return known(unescaped(part.Value)), false
	case *syntax.SglQuoted:
		if part.Dollar {
			return notKnown("$'...' has escapes"), false
		}
		return known(part.Value), false
	case *syntax.DblQuoted:
		v := known("")
		for _, inner := range part.Parts {
			next, _ := s.quotedPart(inner)
			v = v.followedBy(next)
		}
		return v, false
	case *syntax.ParamExp:
		return s.parameter(part), true
	case *syntax.CmdSubst:
		return s.substitute(part), true
	}
	return notKnown("only a shell can tell what it comes to"), false
}

// quotedPart is part between double quotes, where a backslash escapes less.
func (s *scope) quotedPart(part syntax.WordPart) (value, bool) {
	if lit, ok := part.(*syntax.Lit); ok {
		return known(inQuotes(lit.Value)), false
	}
	return s.part(part)
}

// unescaped takes the backslashes out of a text without quotes.
func unescaped(text string) string {
	var out strings.Builder
	escaped := false
	for _, r := range text {
		if !escaped && r == '\\' {
			escaped = true
			continue
		}
		if !escaped || r != '\n' {
			out.WriteRune(r)
		}
		escaped = false
	}
	return out.String()
}

// inQuotes takes the backslashes out of a text between double quotes.
func inQuotes(text string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`", "\\\n", "").Replace(text)
}

// parameter returns the value of a variable, as $NAME, ${NAME} or
// ${NAME:-default}.
func (s *scope) parameter(p *syntax.ParamExp) value {
	plain := !p.Excl && !p.Length && !p.Width && p.Index == nil && p.Slice == nil && p.Repl == nil && p.Names == 0 && p.Param != nil
	if !plain {
		return notKnown("only a shell can tell what it comes to")
	}
	name := p.Param.Value
	if !syntax.ValidName(name) {
		return notKnown("$" + name + " depends on how the script is called")
	}
	v, set := s.vars[name]
	switch {
	case p.Exp == nil:
		return s.lookup(name)
	case p.Exp.Op != syntax.DefaultUnset && p.Exp.Op != syntax.DefaultUnsetOrNull:
		return notKnown("only a shell can tell what it comes to")
	case set && (v != known("") || p.Exp.Op == syntax.DefaultUnset):
		return v
	case s.included != "":
		return s.lookup(name)
	}
	return s.single(p.Exp.Word)
}
