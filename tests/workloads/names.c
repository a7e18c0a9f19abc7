/* Makes, finds or removes COUNT empty files in DIRECTORY: kernel objects, and no page of them. */
#include "work.h"

int main(int argc, char **argv)
{
	long count = argc == 4 ? atol(argv[3]) : 0;
	struct stat st;
	char name[32];

	if (!count || chdir(argv[2]))
		die("names make|find|remove DIRECTORY COUNT");
	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "f%ld", i);
		if (!strcmp(argv[1], "make"))
			need(close(open_file(name, O_CREAT | O_WRONLY)), "close");
		else if (!strcmp(argv[1], "remove"))
			need(unlink(name), "unlink");
		else
			stat(name, &st);
	}
	return 0;
}
