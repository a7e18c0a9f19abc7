/* willneed PATH CALL: ask the kernel for PATH without reading it. CALL: readahead, fadvise or madvise. */
#include "work.h"

#define STEP (128 * 1024) /* below every device's read-ahead limit, so that all of it is honoured */

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_RDONLY);
	long end = file_bytes(fd), at;
	char *map = map_file(fd, end, PROT_READ, MAP_SHARED);

	(void)argc;
	for (at = 0; at < end; at += STEP) {
		long bytes = end - at < STEP ? end - at : STEP;

		if (!strcmp(argv[2], "readahead"))
			need(readahead(fd, at, bytes), "readahead");
		else if (!strcmp(argv[2], "fadvise"))
			need(-posix_fadvise(fd, at, bytes, POSIX_FADV_WILLNEED), "fadvise");
		else
			need(madvise(map + at, bytes, MADV_WILLNEED), "madvise");
	}
	return 0;
}
