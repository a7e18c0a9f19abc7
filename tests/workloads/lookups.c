/* lookups DIR COUNT: for each 'm' on standard input ask for COUNT names that are not in DIR, for each 'c' make COUNT files. */
#include "work.h"

#include <errno.h>

static void ask(const char *name)
{
	struct stat st;

	if (stat(name, &st) == 0 || errno != ENOENT)
		die(name);
}

static void make(const char *name)
{
	need(close(open_file(name, O_CREAT | O_EXCL | O_WRONLY)), name);
}

int main(int argc, char **argv)
{
	char what, name[4096];
	long done = 0;

	if (argc != 3)
		return 2;
	need(chdir(argv[1]), argv[1]);
	need(write(STDOUT_FILENO, "ready\n", 6), "stdout");
	while (read(STDIN_FILENO, &what, 1) > 0) {
		for (long n = atol(argv[2]); n > 0; n--) {
			snprintf(name, sizeof(name), "%c-%d-%ld", what, getpid(), done++);
			(what == 'c' ? make : ask)(name);
		}
		need(write(STDOUT_FILENO, "ready\n", 6), "stdout");
	}
	return 0;
}
