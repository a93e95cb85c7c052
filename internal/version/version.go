// Package version says which ucspid this is: the programs, and the packages
// that are made of them.
package version

// Number changes with each release, here and nowhere else.
const Number = "0.1.0"
