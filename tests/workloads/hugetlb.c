/*
 * hugetlb FILE OUT COUNT HUGE: touch COUNT huge pages of HUGE bytes three times over: of FILE on
 * hugetlbfs, of shared and of private anonymous memory. After each of them write one ordinary
 * page to OUT, so that the two kinds of page take turns. Then hold them all.
 */
#include "work.h"

static void touch(char *map, long count, long huge, int out)
{
	char *from = buffer(PAGE);
	long at;

	for (at = 0; at < count * huge; at += huge) {
		map[at] = 'm';
		need(write(out, from, PAGE), "write");
	}
}

int main(int argc, char **argv)
{
	int file = open_file(argv[1], O_RDWR | O_CREAT);
	int out = open_file(argv[2], O_WRONLY | O_CREAT);
	long count = atol(argv[3]), huge = atol(argv[4]);
	int memory = MAP_ANONYMOUS | MAP_HUGETLB;

	(void)argc;
	need(ftruncate(file, count * huge), "ftruncate");
	touch(map_file(file, count * huge, PROT_READ | PROT_WRITE, MAP_SHARED), count, huge, out);
	touch(map_file(-1, count * huge, PROT_READ | PROT_WRITE, MAP_SHARED | memory), count, huge,
	      out);
	touch(map_file(-1, count * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | memory), count, huge,
	      out);
	hold();
	return 0;
}
