// Package status is what a running server tells its operators, and how: on a
// stream socket in the file system one question and one answer a connection,
// each a JSON object and a newline.
//
// The invariant: whoever asks costs the server no more than a moment of one
// goroutine, and only root changes anything.
package status
