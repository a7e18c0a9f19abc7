/* leak MIB KIB: touches MIB of anonymous memory, says so, then KIB a second more. Ends with its input. */
#include "work.h"

#include <poll.h>
#include <time.h>

#define TICK 50

static long milliseconds(void)
{
	struct timespec now;

	need(clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	struct pollfd input = {STDIN_FILENO, POLLIN, 0};
	long pages = atol(argv[2]) / 4, touched = 0, begun, due;

	(void)argc;
	buffer(atol(argv[1]) << 20);
	begun = milliseconds();
	need(write(STDOUT_FILENO, "ready\n", 6), "stdout");
	while (poll(&input, 1, TICK) == 0) {
		due = (milliseconds() - begun) * pages / 1000;
		if (due > touched)
			buffer((due - touched) * PAGE);
		touched = due;
	}
	return 0;
}
