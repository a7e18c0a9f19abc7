/* locked PATH: map a whole file, lock its pages in memory, and hold them. */
#include "work.h"

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_RDONLY);
	long bytes = file_bytes(fd);
	void *map = map_file(fd, bytes, PROT_READ, MAP_SHARED);

	(void)argc;
	need(mlock(map, bytes), "mlock");
	hold();
	return 0;
}
