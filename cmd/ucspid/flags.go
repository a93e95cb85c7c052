package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"ucspid/internal/exit"
)

// choice is an option without an argument. What it sets, another may set
// back: the last one counts.
type choice struct{ set func() }

func (c choice) String() string { return "" }
func (c choice) Type() string   { return "bool" }
func (c choice) Set(text string) error {
	if text != "true" {
		return errors.New("it takes no argument")
	}
	c.set()
	return nil
}

// argument is an option with an argument that is checked at once.
type argument struct{ set func(string) error }

func (a argument) String() string        { return "" }
func (a argument) Type() string          { return "string" }
func (a argument) Set(text string) error { return a.set(text) }

// refuse defines the options of tcpserver(1) that are systemd's now. Each is
// an error that names the line of the unit to write instead.
func refuse(flags *pflag.FlagSet) {
	const edit = " (systemctl edit qmail-smtp.service, or the unit that runs this)"
	const user = "set User= of the service; the setpriv line of the shipped unit follows it" + edit
	const group = "set Group= of the service, and UCSPID_GROUP= for its setpriv line" + edit
	for _, r := range []struct{ letter, argument, hint string }{
		{"u", "uid", user},
		{"g", "gid", group},
		{"U", "", "set User= and Group= of the service instead of $UID and $GID" + edit},
		{"b", "n", "set Backlog= of the socket (systemctl edit qmail-smtp.socket)"},
	} {
		refusal := exit.Advise(errors.New("this is systemd's work now"), r.hint)
		flag := flags.VarPF(argument{func(string) error { return refusal }}, "refused-"+r.letter, r.letter, "")
		if r.argument == "" {
			flag.NoOptDefVal = "true"
		}
	}
}

// usageError puts what pflag complains of into our words.
func usageError(err error) error {
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("option %s: %w", spelling(bad.GetFlag()), errors.Unwrap(bad))
	}
	const hint = "see ucspid --help"
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return exit.Advise(fmt.Errorf("option %s: its argument is missing", spelling(missing.GetFlag())), hint)
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return exit.Advise(fmt.Errorf("option -%s: there is none", name), hint)
		}
		return exit.Advise(fmt.Errorf("option --%s: there is none", name), hint)
	}
	return exit.Advise(err, hint)
}

// spelling returns an option as its users type it.
func spelling(flag *pflag.Flag) string {
	if flag.Shorthand != "" {
		return "-" + flag.Shorthand
	}
	return "--" + flag.Name
}
