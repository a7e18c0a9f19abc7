/* leak MIB KIB: touches MIB of anonymous memory, says so, then KIB a second more. Ends with its input. */
#include "work.h"

#include <poll.h>

#define TICKS 20

int main(int argc, char **argv)
{
	long step = atol(argv[2]) * 1024 / TICKS;
	struct pollfd input = {STDIN_FILENO, POLLIN, 0};

	(void)argc;
	buffer(atol(argv[1]) << 20);
	need(write(STDOUT_FILENO, "ready\n", 6), "stdout");
	while (poll(&input, 1, 1000 / TICKS) == 0)
		buffer(step);
	return 0;
}
