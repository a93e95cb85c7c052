package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/internal/migrate"
)

func newMigrate() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "migrate [--write DIR] FILE...",
		Short: "Translate init scripts, run scripts and inetd.conf into units",
		Long: `Translate what started tcpserver before: an init script, the run of a service
directory, inetd.conf, a file of xinetd. Printed are the drop-ins and files
that make ucspid do the same, each with a comment that says what became of
every word. Nothing of the file is run. What only somebody who knows the
machine can decide is marked TODO.

Exit codes: 0 all is translated, 1 there is a TODO, 100 wrong usage, or a file
to be written is there already, 111 unreadable.`,
		Example: `  ucspidctl migrate /etc/init.d/qmail
  ucspidctl migrate --write / /service/*/run /service/*/log/run`,
		Args:                  someArguments("FILE"),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("write") && dir == "" {
				return errors.New("option --write: the name of the directory is empty")
			}
			return translate(cmd.OutOrStdout(), args, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "write", "", "write the files below `DIR`, / for this machine; print only what belongs to none")
	return cmd
}

// someArguments demands at least one argument, which is called by its name.
func someArguments(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return exit.Advise(fmt.Errorf("%s: none was given", name), "see "+cmd.CommandPath()+" --help")
	}
}

// translate prints what the files become, or writes it below a directory.
func translate(w io.Writer, paths []string, dir string) error {
	var inputs []migrate.Input
	for _, path := range paths {
		text, err := readStart(path)
		if err != nil {
			return exit.Retry(unreadable(path, err))
		}
		inputs = append(inputs, migrate.Input{Name: printable(path), Text: text})
	}
	files, whole := migrate.Translate(inputs)
	if dir != "" {
		if err := writeNew(dir, files); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(w, shown(files, dir == "")); err != nil {
		return exit.Retry(err)
	}
	if !whole {
		return exit.AnswerNo()
	}
	return nil
}

// readStart reads a file, but not much more than migrate takes.
func readStart(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, migrate.MaxSize+1))
}

// shown returns the files for somebody to read: each with its path, and in
// any case what belongs to none.
func shown(files []migrate.File, all bool) string {
	var texts []string
	for _, file := range files {
		switch {
		case file.Path == "":
			texts = append(texts, file.Text)
		case all:
			texts = append(texts, "# "+file.Path+"\n"+file.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// writeNew writes the files below a directory. Where one of them is there
// already, none is written.
func writeNew(dir string, files []migrate.File) error {
	for _, file := range files {
		path := filepath.Join(dir, file.Path)
		if file.Path == "" {
			continue
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return refused(path, err)
		}
	}
	for _, file := range files {
		if file.Path == "" {
			continue
		}
		if err := writeWhole(filepath.Join(dir, file.Path), file.Text); err != nil {
			return err
		}
	}
	return nil
}

// refused says that a file is there, or why that cannot be told.
func refused(path string, err error) error {
	if err == nil || errors.Is(err, fs.ErrExist) {
		return exit.Advise(errors.New(path+": it is there already, and nothing of it is overwritten"), "move it away, or write to another directory and compare")
	}
	return exit.Retry(err)
}

// writeWhole writes a file that is not there yet: beside its place, to the
// disk, and only then under its name.
func writeWhole(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return exit.Retry(err)
	}
	tmp := fmt.Sprintf("%s.tmp%d", path, os.Getpid())
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return exit.Retry(err)
	}
	_, err = io.WriteString(f, text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(tmp, path) // a rename would overwrite
	}
	if err := os.Remove(tmp); err != nil {
		return exit.Retry(err)
	}
	if err != nil {
		return refused(path, err)
	}
	return nil
}
