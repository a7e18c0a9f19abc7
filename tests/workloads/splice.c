/* splice FROM TO: copy FROM to the new file TO through a pipe with splice(2). */
#include "work.h"

int main(int argc, char **argv)
{
	int from = open_file(argv[1], O_RDONLY);
	int to = open_file(argv[2], O_WRONLY | O_CREAT);
	long left = file_bytes(from);
	int pipes[2];

	(void)argc;
	need(pipe(pipes), "pipe");
	while (left > 0) {
		long full = need(splice(from, NULL, pipes[1], NULL, 65536, 0), "splice in");

		left -= full;
		while (full > 0)
			full -= need(splice(pipes[0], NULL, to, NULL, full, 0), "splice out");
	}
	return 0;
}
