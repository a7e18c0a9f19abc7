/*
 * punch PATH COUNT: fallocate(2) a hole of 100 bytes into each of COUNT pages.
 * Plain preallocation brings no page in; zeroing part of a page must.
 */
#include "work.h"

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_RDWR);
	long page;

	(void)argc;
	for (page = 0; page < atol(argv[2]); page++)
		need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * PAGE + 1000, 100),
		     "fallocate");
	return 0;
}
