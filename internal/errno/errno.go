// Package errno gives errors of system calls in the words of ucspi-tcp, which
// are not those of strerror(3): operators and their scripts know these.
package errno

import (
	"errors"
	"syscall"
)

// Text returns the words for the system call's error behind err, or what err
// itself says where there is none.
func Text(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		if text := words(number); text != "" {
			return text
		}
	}
	return err.Error()
}

// words returns what error_str of ucspi-tcp 0.88 says of an error that files,
// sockets and processes give.
func words(number syscall.Errno) string {
	switch number {
	case syscall.EINTR:
		return "interrupted system call"
	case syscall.ENOMEM:
		return "out of memory"
	case syscall.ENOENT:
		return "file does not exist"
	case syscall.ETXTBSY:
		return "text busy"
	case syscall.EIO:
		return "input/output error"
	case syscall.EEXIST:
		return "file already exists"
	case syscall.ETIMEDOUT:
		return "timed out"
	case syscall.EAGAIN:
		return "temporary failure"
	case syscall.EPIPE:
		return "broken pipe"
	case syscall.EPERM:
		return "permission denied"
	case syscall.EACCES:
		return "access denied"
	case syscall.ENXIO:
		return "device not configured"
	case syscall.EPROTO:
		return "protocol error"
	case syscall.EISDIR:
		return "is a directory"
	case syscall.E2BIG:
		return "argument list too long"
	case syscall.ENOEXEC:
		return "exec format error"
	case syscall.EBADF:
		return "file descriptor not open"
	case syscall.EBUSY:
		return "device busy"
	case syscall.EXDEV:
		return "cross-device link"
	case syscall.ENOTDIR:
		return "not a directory"
	case syscall.EINVAL:
		return "invalid argument"
	case syscall.ENFILE:
		return "system cannot open more files"
	case syscall.EMFILE:
		return "process cannot open more files"
	case syscall.EFBIG:
		return "file too big"
	case syscall.ENOSPC:
		return "out of disk space"
	case syscall.EROFS:
		return "read-only file system"
	case syscall.EMSGSIZE:
		return "message too long"
	case syscall.ECONNABORTED:
		return "connection aborted"
	case syscall.ECONNRESET:
		return "connection reset"
	case syscall.ENOBUFS:
		return "out of buffer space"
	case syscall.ENOTCONN:
		return "not connected"
	case syscall.ELOOP:
		return "symbolic link loop"
	case syscall.ENAMETOOLONG:
		return "file name too long"
	case syscall.ENOTEMPTY:
		return "directory not empty"
	case syscall.EDQUOT:
		return "disk quota exceeded"
	case syscall.ESTALE:
		return "stale NFS file handle"
	}
	return ""
}
