package migrate

import "strings"

// What systemd makes of a value differs from file to file: a unit has %
// specifiers, a line that is run has $ besides, and both take a backslash for
// an escape; an environment file has neither, but what ucspid's templates take
// from it is split once more. See systemd.syntax(7) and systemd.exec(5).

// unitWord returns a word for a line of a unit that is run, such as
// ExecStart=.
func unitWord(word string) string {
	return quoted(strings.NewReplacer("%", "%%", "$", "$$").Replace(word))
}

// unitVariable returns an assignment for Environment= of a unit.
func unitVariable(name, value string) string {
	return quoted(strings.ReplaceAll(name+"="+value, "%", "%%"))
}

// quoted returns a word so that it stays one, and as it is, when systemd
// splits what it stands in: a line of a unit, or a variable of a template.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n\"'\\;") {
		return word
	}
	quote := `"`
	if strings.Contains(word, `"`) && !strings.Contains(word, `'`) {
		quote = `'`
	}
	return quote + strings.NewReplacer(`\`, `\\`, quote, `\`+quote).Replace(word) + quote
}

// fileVariable returns a line of an environment file.
func fileVariable(name, value string) string {
	first := strings.HasPrefix(value, `"`) || strings.HasPrefix(value, `'`)
	if first || strings.Contains(value, `\`) || strings.TrimSpace(value) != value {
		value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(value) + `"`
	}
	return name + "=" + value
}

// joined quotes words and puts blanks between them.
func joined(words []string, quote func(string) string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = quote(word)
	}
	return strings.Join(all, " ")
}
