package migrate

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// script walks through a shell script in the order in which it would run, and
// runs nothing.
type script struct {
	reading
	scope
	text      string // of the part that is walked through
	before    int    // lines before that part
	depth     int    // of scripts in scripts
	functions map[string]function
	called    map[string]bool
	needless  []remark
	verbs     bool // it is called with a verb, such as start
}

// function is one of the script's, and where it stands.
type function struct {
	*syntax.FuncDecl
	text   string
	before int
}

// readScript reads an init script or the run of a service directory.
func readScript(name, text string) reading {
	cwd := ""
	if path.IsAbs(name) && path.Base(name) == "run" {
		cwd = path.Dir(name)
	}
	s := &script{
		scope:     newScope(cwd),
		text:      text,
		functions: make(map[string]function),
		called:    make(map[string]bool),
	}
	if isExecline(text) {
		s.text = unfold(text)
	}
	if err := s.parse(s.text); err != nil {
		return unreadable(err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		s.call(s.functions[name]) // by another script, or in a way that is not seen here
	}
	if len(s.services) == 0 && len(s.remarks) == 0 && len(s.called) == 0 && !s.verbs {
		return unreadable("no server is started here")
	}
	s.remarks = slices.Concat(s.remarks, s.needless)
	return s.reading
}

// maxBrackets bounds how deep the parser goes, for it takes a great deal of
// memory for each bracket that is open.
const maxBrackets = 1000

// parse reads a text and walks through it.
func (s *script) parse(text string) error {
	if strings.Count(text, "(") > maxBrackets {
		return fmt.Errorf("it has more than %d opening brackets", maxBrackets)
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return fmt.Errorf("it is not a shell script that can be read: %s", err)
	}
	s.walk(file.Stmts)
	return nil
}

// isExecline tells whether a script is one of execline, as s6 has them.
func isExecline(text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	return strings.HasPrefix(first, "#!") && strings.Contains(first, "execlineb")
}

// unfold makes one line of a script of execline, where the end of a line
// means nothing. The lines keep their numbers.
func unfold(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			line = ""
		}
		lines[i] = line + ` \`
	}
	return strings.Join(lines, "\n") + "\n"
}

// source returns how a part of the script is written, in one line.
func (s *script) source(n syntax.Node) string {
	text := s.text[n.Pos().Offset():n.End().Offset()]
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\\\n", " ")), " ")
}

func (s *script) line(n syntax.Node) int { return s.before + int(n.Pos().Line()) }

func (s *script) remark(n syntax.Node, what string, hand bool) {
	s.remarks = append(s.remarks, remark{line: s.line(n), words: []string{s.source(n)}, what: what, hand: hand})
}

func (s *script) walk(stmts []*syntax.Stmt) {
	for _, stmt := range stmts {
		s.statement(stmt)
	}
}

// maybe walks through what is perhaps not run.
func (s *script) maybe(walk func()) {
	before := s.scope.clone()
	walk()
	part := s.scope
	s.scope = before
	s.scope.join(part)
}

// loop walks through what is perhaps run several times.
func (s *script) loop(body []*syntax.Stmt) {
	syntax.Walk(&syntax.Block{Stmts: body}, func(n syntax.Node) bool {
		if assign, ok := n.(*syntax.Assign); ok && assign.Name != nil {
			s.vars[assign.Name.Value] = notKnown("$" + assign.Name.Value + " is set in a loop")
		}
		return true
	})
	s.maybe(func() { s.walk(body) })
}

func (s *script) statement(stmt *syntax.Stmt) {
	made := len(s.services)
	switch cmd := stmt.Cmd.(type) {
	case *syntax.CallExpr:
		s.simpleCommand(stmt, cmd)
	case *syntax.DeclClause:
		s.declare(cmd)
	case *syntax.BinaryCmd:
		s.binary(cmd)
	case *syntax.IfClause:
		s.branches(cmd)
	case *syntax.CaseClause:
		s.cases(cmd)
	case *syntax.WhileClause:
		s.loop(slices.Concat(cmd.Cond, cmd.Do))
	case *syntax.ForClause:
		s.forLoop(cmd)
	case *syntax.Block:
		s.walk(cmd.Stmts)
	case *syntax.Subshell:
		before := s.scope.clone()
		s.walk(cmd.Stmts)
		s.scope = before
	case *syntax.FuncDecl:
		if cmd.Name == nil { // the parser takes ()command for one
			s.statement(cmd.Body)
			break
		}
		s.functions[cmd.Name.Value] = function{cmd, s.text, s.before}
	case *syntax.TimeClause:
		if cmd.Stmt != nil {
			s.statement(cmd.Stmt)
		}
	case *syntax.CoprocClause:
		s.statement(cmd.Stmt)
	}
	for _, started := range s.services[made:] {
		s.surroundings(started, stmt)
	}
}

// surroundings accounts for what stands behind the command of a server.
func (s *script) surroundings(started *service, stmt *syntax.Stmt) {
	for _, redirect := range stmt.Redirs {
		what, hand := s.redirection(redirect)
		started.note(s.line(redirect), what, hand, s.source(redirect))
	}
	if stmt.Background {
		started.note(s.before+int(stmt.Semicolon.Line()), "nothing, systemd keeps it running", false, "&")
	}
}

func (s *script) redirection(r *syntax.Redirect) (what string, hand bool) {
	switch target := s.single(r.Word); {
	case r.Op == syntax.DplOut || r.Op == syntax.RdrClob || target == known("/dev/null"):
		return "nothing, stderr is the journal", false
	case r.Op == syntax.RdrIn || r.Op == syntax.DplIn || r.Hdoc != nil:
		return "the server reads nothing; a certificate's key belongs to who does TLS", true
	}
	return "nothing, stderr is the journal; nothing is written to that file any more", false
}

// binary walks through a pipe, or two commands of which the second depends on
// the first.
func (s *script) binary(cmd *syntax.BinaryCmd) {
	if cmd.Op == syntax.AndStmt || cmd.Op == syntax.OrStmt {
		s.statement(cmd.X)
		s.maybe(func() { s.statement(cmd.Y) })
		return
	}
	made := len(s.services)
	s.statement(cmd.X)
	started := s.services[made:]
	if len(started) == 0 {
		s.statement(cmd.Y)
		return
	}
	for _, server := range started {
		s.logger(server, cmd.Y)
	}
}

func (s *script) branches(cmd *syntax.IfClause) {
	s.walk(cmd.Cond)
	s.maybe(func() { s.walk(cmd.Then) })
	for cmd = cmd.Else; cmd != nil; cmd = cmd.Else {
		s.walk(cmd.Cond)
		s.maybe(func() { s.walk(cmd.Then) })
	}
}

func (s *script) forLoop(cmd *syntax.ForClause) {
	if iter, ok := cmd.Loop.(*syntax.WordIter); ok {
		s.vars[iter.Name.Value] = notKnown("$" + iter.Name.Value + " is set by a loop")
	}
	s.loop(cmd.Do)
}

// cases walks through the verbs of an init script, or whatever a script
// decides by a pattern. What a verb other than start does, systemctl does now.
func (s *script) cases(cmd *syntax.CaseClause) {
	verbs := s.source(cmd.Word)
	byArgument := strings.Contains(verbs, "$1") || strings.Contains(verbs, "${1")
	for _, item := range cmd.Items {
		if byArgument && !s.starts(item) {
			s.verb(item)
			continue
		}
		s.maybe(func() { s.walk(item.Stmts) })
	}
}

// starts tells whether an arm is that of start, or starts a server under
// another name.
func (s *script) starts(item *syntax.CaseItem) bool {
	for _, pattern := range item.Patterns {
		if s.source(pattern) == "start" {
			return true
		}
	}
	if len(item.Stmts) == 0 {
		return false
	}
	found := false
	syntax.Walk(&syntax.Block{Stmts: item.Stmts}, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			words := s.words(call.Args, nil)
			found = found || serverAt(words) >= 0 && !isNeedless(words)
		}
		return true
	})
	return found
}

func (s *script) verb(item *syntax.CaseItem) {
	var patterns []string
	for _, pattern := range item.Patterns {
		patterns = append(patterns, s.source(pattern))
	}
	s.verbs = true
	s.needless = append(s.needless, remark{
		words: []string{strings.Join(patterns, "|") + ")"},
		what:  "nothing, systemctl has these verbs; qmailctl's are in docs/migrating.md",
	})
}

// call walks through a function, once.
func (s *script) call(f function) {
	if name := f.Name.Value; !s.called[name] {
		s.called[name] = true
		s.within(f.text, f.before, func() { s.statement(f.Body) })
	}
}

// within walks through a part that stands in a text of its own, behind so
// many lines.
func (s *script) within(text string, before int, walk func()) {
	outer, lines := s.text, s.before
	s.text, s.before = text, before
	walk()
	s.text, s.before = outer, lines
}

// declare notes what is exported.
func (s *script) declare(cmd *syntax.DeclClause) {
	for _, assign := range cmd.Args {
		s.assign(assign)
		if assign.Name != nil && cmd.Variant.Value == "export" {
			s.exported[assign.Name.Value] = true
		}
	}
}

func (s *script) assign(a *syntax.Assign) {
	if !a.Naked && a.Name != nil {
		s.vars[a.Name.Value] = s.assigned(a)
	}
}

// assigned returns what a variable comes to.
func (s *script) assigned(a *syntax.Assign) value {
	if a.Append || a.Index != nil || a.Array != nil {
		return notKnown("only a shell can tell what $" + a.Name.Value + " comes to")
	}
	return s.single(a.Value)
}

// maxWords bounds the words of a command, for a variable may have many.
const maxWords = 1000

// isQuoted tells whether a shell leaves a word as one.
func isQuoted(w *syntax.Word) bool {
	for _, part := range w.Parts {
		switch part.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst:
			return false
		}
	}
	return true
}

// words returns the words of a command. One that is not one in the end is
// explained to the service.
func (s *script) words(args []*syntax.Word, explain func(remark)) []word {
	var all []word
	for _, arg := range args {
		source, values := s.source(arg), s.expand(arg)
		if len(all) > maxWords {
			values = []value{notKnown("the line is too long")}
		}
		if len(values) == 1 {
			all = append(all, word{values[0], source, !isQuoted(arg)})
			continue
		}
		var texts []string
		for _, v := range values {
			all = append(all, word{value: v, source: v.text})
			texts = append(texts, v.text)
		}
		if explain != nil {
			what := "nothing, it is empty"
			if len(texts) > 0 {
				what = "is " + strings.Join(texts, " ")
			}
			explain(remark{line: s.line(arg), words: []string{source}, what: what})
		}
	}
	return all
}
