/* write_from_map FROM TO: write(2) TO out of a mapping of FROM, whose pages fault in during the call. */
#include "work.h"

#define BLOCK 65536

int main(int argc, char **argv)
{
	int from = open_file(argv[1], O_RDONLY);
	int to = open_file(argv[2], O_WRONLY | O_CREAT);
	long end = file_bytes(from), at = 0;
	char *map = map_file(from, end, PROT_READ, MAP_SHARED);

	(void)argc;
	while (at < end)
		at += need(write(to, map + at, end - at < BLOCK ? end - at : BLOCK), "write");
	return 0;
}
