/*
 * pageout PAGES ROUNDS: touch PAGES pages of anonymous shared memory and ask ROUNDS times to
 * have them paged out, then hold them. Without swap the kernel takes each page off the LRU
 * and puts it back.
 */
#include "work.h"

int main(int argc, char **argv)
{
	long pages = atol(argv[1]), rounds = atol(argv[2]), page;
	char *map = map_file(-1, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);

	(void)argc;
	for (page = 0; page < pages; page++)
		map[page * PAGE] = 'm';
	while (rounds--)
		need(madvise(map, pages * PAGE, MADV_PAGEOUT), "madvise");
	hold();
	return 0;
}
