/* shared PAGES: touch PAGES pages of anonymous shared memory, and hold them. */
#include "work.h"

int main(int argc, char **argv)
{
	long pages = atol(argv[1]), page;
	char *map = map_file(-1, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);

	(void)argc;
	for (page = 0; page < pages; page++)
		map[page * PAGE] = 'm';
	hold();
	return 0;
}
