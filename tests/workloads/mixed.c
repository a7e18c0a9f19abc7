/*
 * mixed PATH PAGES: one task alternates on one file: even pages by pread(2), odd pages
 * by faults, without read-ahead, so that neither call brings in the other's pages.
 */
#include "work.h"

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_RDONLY);
	long pages = atol(argv[2]), page, sum = 0;
	volatile char *map = map_file(fd, pages * PAGE, PROT_READ, MAP_SHARED);
	char *to = buffer(PAGE);

	(void)argc;
	need(-posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), "fadvise");
	need(madvise((void *)map, pages * PAGE, MADV_RANDOM), "madvise");
	for (page = 0; page < pages; page++) {
		if (page % 2)
			sum += map[page * PAGE];
		else
			need(pread(fd, to, PAGE, page * PAGE), "pread");
	}
	return sum < 0;
}
