/* segment PAGES: fill a SysV segment and a memfd, PAGES pages each, and hold them. */
#include "work.h"

#include <sys/shm.h>

int main(int argc, char **argv)
{
	long pages = atol(argv[1]), page;
	int id = need(shmget(IPC_PRIVATE, pages * PAGE, IPC_CREAT | 0600), "shmget");
	int fd = need(memfd_create("memtrace", 0), "memfd_create");
	char *segment = shmat(id, NULL, 0), *from = buffer(PAGE);

	(void)argc;
	if (segment == (char *)-1)
		die("shmat");
	need(shmctl(id, IPC_RMID, NULL), "shmctl"); /* it goes with its last user */
	for (page = 0; page < pages; page++) {
		segment[page * PAGE] = 'm';
		need(write(fd, from, PAGE), "write");
	}
	hold();
	return 0;
}
