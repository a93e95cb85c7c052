package migrate

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// substitute returns the value of `command`, where the command is one that
// reads a control file or asks who a user is.
func (s *scope) substitute(c *syntax.CmdSubst) value {
	if len(c.Stmts) != 1 {
		return notKnown("several commands print it")
	}
	stmt, cut := c.Stmts[0], false
	if pipe, ok := stmt.Cmd.(*syntax.BinaryCmd); ok && pipe.Op == syntax.Pipe && s.takesFirstLine(pipe.Y) {
		stmt, cut = pipe.X, true
	}
	args, file, ok := s.simple(stmt)
	if !ok {
		return notKnown("the commands that print it are not simple ones")
	}
	v := s.printed(args, file)
	v.all = v.all && !cut
	return v
}

// takesFirstLine tells whether a statement passes its first line on.
func (s *scope) takesFirstLine(stmt *syntax.Stmt) bool {
	args, file, ok := s.simple(stmt)
	return ok && file == "" && isHead(args)
}

// isHead tells whether a command prints the first line of its input or of
// the file behind it.
func isHead(args []string) bool {
	command := strings.Join(args, " ")
	return slices.Contains([]string{"head -1", "head -n 1", "head -n1", "sed 1q", "sed -n 1p"}, command)
}

// simple returns the words of a command, its name without a directory, and
// the file that it reads as its input.
func (s *scope) simple(stmt *syntax.Stmt) (args []string, file string, ok bool) {
	call := &syntax.CallExpr{}
	if stmt.Cmd != nil {
		if call, ok = stmt.Cmd.(*syntax.CallExpr); !ok {
			return nil, "", false
		}
	}
	for _, redirect := range stmt.Redirs {
		switch v := s.single(redirect.Word); {
		case redirect.N != nil && redirect.N.Value == "2": // what it complains of
		case redirect.Op == syntax.RdrIn && v.kind == literal:
			file = v.text
		default:
			return nil, "", false
		}
	}
	for _, arg := range call.Args {
		for _, v := range s.expand(arg) {
			if v.kind != literal {
				return nil, "", false
			}
			args = append(args, v.text)
		}
	}
	if len(args) > 0 {
		args[0] = path.Base(args[0])
	}
	return args, file, len(call.Assigns) == 0
}

// printed returns what a command prints.
func (s *scope) printed(args []string, file string) value {
	n := len(args)
	switch {
	case n == 0 || n == 1 && args[0] == "cat":
		return s.file(file, true)
	case n == 2 && args[0] == "cat":
		return s.file(args[1], true)
	case file != "" && isHead(args):
		return s.file(file, false)
	case n > 1 && isHead(args[:n-1]):
		return s.file(args[n-1], false)
	case n == 3 && args[0] == "id" && args[1] == "-u":
		return value{kind: userID, text: args[2]}
	case n == 3 && args[0] == "id" && args[1] == "-g":
		return value{kind: groupID, text: args[2]}
	case n == 1 && args[0] == "hostname", n == 2 && args[0] == "uname" && args[1] == "-n":
		return value{kind: firstLine, text: "/etc/hostname"}
	case n == 2 && args[0] == "which", n == 3 && args[0] == "command" && args[1] == "-v":
		return known(args[n-1])
	case n > 0 && args[0] == "echo":
		return known(strings.Join(args[1:], " "))
	}
	return notKnown("what " + strings.Join(args, " ") + " prints is not known here")
}

// file is the first line of a file, or all of it.
func (s *scope) file(file string, all bool) value {
	if whole := s.absolute(file); whole != "" {
		return value{kind: firstLine, text: whole, all: all}
	}
	return notKnown("the directory of " + file + " is not known here")
}
