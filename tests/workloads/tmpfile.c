/* tmpfile DIRECTORY PAGES: write PAGES pages to a file that never has a name, and hold it open. */
#include "work.h"

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_TMPFILE | O_WRONLY);
	long page;
	char *from = buffer(PAGE);

	(void)argc;
	for (page = 0; page < atol(argv[2]); page++)
		need(write(fd, from, PAGE), "write");
	hold();
	return 0;
}
