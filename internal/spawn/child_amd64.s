// A child that shares the memory of a Go process, and runs beside it, may use
// nothing of Go: no stack, for it has none; no goroutine, for its thread is
// not of the runtime's; no function, for any may do the one or the other. So it
// is these lines, which keep all they need in registers and in the struct
// child, and end with execve(2) or exit_group(2).
//
// What could go wrong, and why it does not:
//
//   - A signal would run a handler of Go's in the child, on a stack that is in
//     use. So the thread blocks all of them before clone(2), by which the child
//     blocks them, too; it unblocks them only when none has a handler any more.
//     As the child has a table of handlers for itself (no CLONE_SIGHAND), ours
//     stay. The thread unblocks its signals at once; a request to preempt the
//     goroutine, which is a signal, waits as long.
//   - The garbage collector could free what the child reads, or move it: it
//     does not move what is on the heap, and Spawner.starting keeps it until the
//     kernel says that the child has no part of our memory any more, by writing
//     0 to child.shares (CLONE_CHILD_CLEARTID).
//   - The goroutine goes on and uses the stack that the child's stack pointer
//     points to. The child never looks there.
//   - A signal that dumps core would end, before Linux 5.16, all who share the
//     memory. Between the unblocking and the exec that is as with vfork(2);
//     ucspid is not dumpable (PR_SET_DUMPABLE).
//   - Nobody hears of an exec that fails: the child leaves the error in
//     child.errno, and its end is noticed like any other.
//
// clone3(2) could reset the handlers by itself (CLONE_CLEAR_SIGHAND), but
// systemd's RestrictNamespaces= has no way to look into its arguments, and
// refuses it.

#include "go_asm.h"
#include "textflag.h"

// asm/unistd_64.h
#define SYS_rt_sigaction	13
#define SYS_rt_sigprocmask	14
#define SYS_clone	56
#define SYS_execve	59
#define SYS_exit_group	231
#define SYS_dup3	292
#define SYS_prlimit64	302

// CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID, and SIGCHLD at the end
#define CLONE_FLAGS	(0x100 | 0x1000 | 0x200000 | 17)

#define RLIMIT_NOFILE	7
#define SIG_SETMASK	2
#define SIGSET_SIZE	8

// rt_sigprocmask(SIG_SETMASK, &c.blocked, NULL, 8), by the parent and by the child
#define RESTORE_SIGNALS	\
	MOVL	$SIG_SETMASK, DI;	\
	LEAQ	child_blocked(BX), SI;	\
	XORL	DX, DX;	\
	MOVL	$SIGSET_SIZE, R10;	\
	MOVL	$SYS_rt_sigprocmask, AX;	\
	SYSCALL

// func clone(c *child) (pid int)
TEXT ·clone(SB), NOSPLIT, $0-16
	MOVQ	c+0(FP), BX

	// rt_sigprocmask(SIG_SETMASK, &c.all, &c.blocked, 8)
	MOVL	$SIG_SETMASK, DI
	LEAQ	child_all(BX), SI
	LEAQ	child_blocked(BX), DX
	MOVL	$SIGSET_SIZE, R10
	MOVL	$SYS_rt_sigprocmask, AX
	SYSCALL

	// clone(CLONE_FLAGS, NULL, &c.pidfd, &c.shares, 0)
	MOVL	$CLONE_FLAGS, DI
	XORL	SI, SI
	LEAQ	child_pidfd(BX), DX
	LEAQ	child_shares(BX), R10
	XORL	R8, R8
	MOVL	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JEQ	child
	MOVQ	AX, pid+8(FP)

	RESTORE_SIGNALS
	RET

child:
	// for each bit of c.caught: rt_sigaction(bit + 1, &c.unhandled, NULL, 8)
	MOVQ	child_caught(BX), R12
signal:
	BSFQ	R12, DI
	JEQ	signalled
	LEAQ	-1(R12), AX
	ANDQ	AX, R12
	INCL	DI
	LEAQ	child_unhandled(BX), SI
	XORL	DX, DX
	MOVL	$SIGSET_SIZE, R10
	MOVL	$SYS_rt_sigaction, AX
	SYSCALL
	TESTQ	AX, AX
	JLT	failed
	JMP	signal
signalled:

	// for i of 0, 1, 2: dup3(c.files[i], i, 0), if they differ
	XORL	R12, R12
file:
	MOVQ	child_files(BX)(R12*8), DI
	CMPQ	DI, R12
	JEQ	placed
	MOVQ	R12, SI
	XORL	DX, DX
	MOVL	$SYS_dup3, AX
	SYSCALL
	TESTQ	AX, AX
	JLT	failed
placed:
	INCQ	R12
	CMPQ	R12, $3
	JLT	file

	// prlimit64(0, RLIMIT_NOFILE, c.nofile, NULL), if c.nofile is there
	MOVQ	child_nofile(BX), DX
	TESTQ	DX, DX
	JEQ	limited
	XORL	DI, DI
	MOVL	$RLIMIT_NOFILE, SI
	XORL	R10, R10
	MOVL	$SYS_prlimit64, AX
	SYSCALL
	TESTQ	AX, AX
	JLT	failed
limited:

	RESTORE_SIGNALS

	// execve(c.path, c.argv, c.envv)
	MOVQ	child_path(BX), DI
	MOVQ	child_argv(BX), SI
	MOVQ	child_envv(BX), DX
	MOVL	$SYS_execve, AX
	SYSCALL

failed:
	// *c.errno = -AX; exit_group(ExitCode)
	NEGL	AX
	MOVQ	child_errno(BX), DX
	MOVL	AX, (DX)
	MOVL	$const_ExitCode, DI
	MOVL	$SYS_exit_group, AX
	SYSCALL
	INT	$3
