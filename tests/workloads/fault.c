/* fault PATH HOW: bring PATH in through a shared mapping. HOW: touch, populate, or PAGES to store into a sparse file. */
#include "work.h"

int main(int argc, char **argv)
{
	int store = atoi(argv[2]) > 0;
	int fd = open_file(argv[1], store ? O_RDWR | O_CREAT : O_RDONLY);
	volatile char *map;
	long at, sum = 0;

	(void)argc;
	if (store)
		need(ftruncate(fd, atol(argv[2]) * PAGE), "ftruncate");
	map = map_file(fd, file_bytes(fd), store ? PROT_READ | PROT_WRITE : PROT_READ,
		       MAP_SHARED | (strcmp(argv[2], "populate") ? 0 : MAP_POPULATE));
	for (at = 0; at < file_bytes(fd); at += PAGE) {
		if (store)
			map[at] = 'm';
		else
			sum += map[at];
	}
	return sum < 0;
}
