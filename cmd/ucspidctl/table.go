package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sizeOf returns how many columns and lines a terminal has, 0 of what is none.
func sizeOf(f *os.File) (columns, rows int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Col), int(size.Row)
}

// The last columns of a table are words, to the left of their column. The last
// two are names, which are cut where the line is too long.
const (
	wordColumns = 3
	nameColumns = 2
)

// table returns rows as lines. Where they would be longer than so many columns,
// 0 being no limit, the names have what the others leave.
func table(rows [][]string, columns int) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	words, names := len(widths)-wordColumns, len(widths)-nameColumns
	if columns > 0 {
		shrink(widths[names:], columns-sum(widths[:names])-(len(widths)-1))
	}
	var all []string
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if i < words {
				fmt.Fprintf(&line, "%*s ", widths[i], cell)
			} else {
				fmt.Fprintf(&line, "%-*s ", widths[i], cut(cell, widths[i]))
			}
		}
		all = append(all, strings.TrimRight(line.String(), " "))
	}
	return all
}

// shrink takes from the widest until all have room together, or one each.
func shrink(widths []int, room int) {
	for sum(widths) > max(room, len(widths)) {
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		widths[widest]--
	}
}

func sum(numbers []int) (n int) {
	for _, one := range numbers {
		n += one
	}
	return n
}

// cut returns a text with a "+" where it was longer than so many columns, 0
// being no limit.
func cut(text string, columns int) string {
	if columns <= 0 || len(text) <= columns {
		return text
	}
	return text[:columns-1] + "+"
}
