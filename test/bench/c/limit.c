/* usage: limit port [program]

   What the kernel itself takes for a connection, and thus the limit of every
   server: one thread accepts on 127.0.0.1, and runs the program on the
   connection or, without one, closes it. Nothing else is done. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(111);
}

static int listen_on(int port)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		die("socket");
	if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || listen(fd, SOMAXCONN) < 0)
		die("listen");
	return fd;
}

static void run(char *program, int connection)
{
	char *args[] = { program, NULL }, *none[] = { NULL };
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(connection, 0);
		dup2(connection, 1);
		execve(program, args, none);
		_exit(111);
	}
	if (pid < 0)
		die("vfork");
}

int main(int argc, char **argv)
{
	int listener;

	if (argc < 2)
		return 100;
	listener = listen_on(atoi(argv[1]));
	for (;;) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (connection < 0)
			die("accept4");
		if (argc > 2)
			run(argv[2], connection);
		close(connection);
		while (waitpid(-1, NULL, WNOHANG) > 0) /* so that their time is counted */
			;
	}
}
