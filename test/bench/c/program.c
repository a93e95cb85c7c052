/* A small UCSPI program, dynamically linked as qmail-smtpd is: it greets, and
   stays until the client has no more to say. */
#include <unistd.h>

int main(void)
{
	static const char greeting[] = "220 bench\r\n";
	char said[64];

	if (write(1, greeting, sizeof greeting - 1) != sizeof greeting - 1)
		return 1;
	while (read(0, said, sizeof said) > 0)
		;
	return 0;
}
