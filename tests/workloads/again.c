/* again PATH: reads all of PATH, says so, then again each second. Ends with its input. */
#include "work.h"

#include <poll.h>

#define BLOCK (1L << 20)

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_RDONLY);
	struct pollfd input = {STDIN_FILENO, POLLIN, 0};
	char *to = buffer(BLOCK);
	int said = 0;

	(void)argc;
	do {
		for (long at = 0; at < file_bytes(fd); at += BLOCK)
			need(pread(fd, to, BLOCK, at), "pread");
		if (!said)
			need(said = write(STDOUT_FILENO, "ready\n", 6), "stdout");
	} while (poll(&input, 1, 1000) == 0);
	return 0;
}
