/*
 * cycle PATH PAGES [keep|sync]: write, read back cold, map, cut and remove PATH in turn until
 * SIGTERM arrives. What is cached at the end is whatever the last step left. With keep
 * the file is never removed, so that it stays the same file to the end. With sync no more
 * than BATCH pages wait to be written, or a third of PAGES: under a limit above that, what
 * is reclaimed never has to wait for the disk, which ends in a kill where it is slow.
 */
#include <signal.h>

#include "work.h"

#define BATCH 128

static volatile sig_atomic_t stopping;
static int keeps, syncs;

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

static void written(int fd)
{
	if (syncs)
		need(fdatasync(fd), "fdatasync");
}

static void fill(int fd, long pages, char *from)
{
	for (long page = 0; page < pages && !stopping; page++) {
		if (page % BATCH == 0)
			written(fd);
		need(pwrite(fd, from, PAGE, page * PAGE), "pwrite");
	}
	written(fd);
}

static void read_cold(int fd, char *to)
{
	long at = 0, got;

	need(fdatasync(fd), "fdatasync");
	need(-posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "fadvise");
	while (!stopping && (got = need(pread(fd, to, PAGE, at), "pread")) > 0)
		at += got;
}

static void touch(int fd)
{
	long bytes = file_bytes(fd), at;
	volatile char *map = map_file(fd, bytes, PROT_READ | PROT_WRITE, MAP_SHARED);

	for (at = 0; at < bytes && !stopping; at += PAGE)
		map[at] = 'c';
	need(munmap((void *)map, bytes), "munmap");
}

int main(int argc, char **argv)
{
	long pages = atol(argv[2]), round;
	char *memory = buffer(PAGE);

	keeps = argc > 3 && !strcmp(argv[3], "keep");
	syncs = argc > 3 && !strcmp(argv[3], "sync");
	signal(SIGTERM, stop);
	for (round = 1; !stopping; round++) {
		int fd = open_file(argv[1], O_RDWR | O_CREAT);

		fill(fd, pages, memory);
		if (round % 4 == 0)
			read_cold(fd, memory);
		need(ftruncate(fd, pages * PAGE / 3), "ftruncate");
		touch(fd);
		written(fd);
		if (!keeps && round % 3 == 0 && !stopping)
			need(unlink(argv[1]), "unlink");
		close(fd);
	}
	return 0;
}
