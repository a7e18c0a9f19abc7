/*
 * The timed workloads. Prints the CPU time, user and system, of each step in nanoseconds:
 * the clock runs around the I/O alone, so that start-up and set-up do not dilute it.
 *
 *   io write PATH BYTES BLOCK   write a new file, then unlink it: two numbers
 *   io crowd PATH BYTES BLOCK   eight threads at once write a file each, then unlink it
 *   io again PATH BLOCK         read a cached file once more
 *   io map PATH                 map a cached file and look at every page of it
 *   io anonymous BYTES          fill memory of no file, fault by fault
 *   io random PATH              read a cold file 4 KiB at a time in random order
 *   io walk PATH                look at every file below a directory, as find does
 *   io trickle PATH             write and unlink 256 KiB ten times a second until killed
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

#define PAGE 4096L
#define TRICKLE (256 * 1024L)
#define CROWD 8

static char *buffer(long bytes)
{
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(memory == MAP_FAILED ? -1 : 0, "mmap");
	memset(memory, 'm', bytes);
	return memory;
}

static void write_file(int fd, char *from, long bytes, long block)
{
	while (bytes > 0)
		bytes -= need(write(fd, from, bytes < block ? bytes : block), "write");
}

static void timed_write(const char *path, long bytes, long block)
{
	char *from = buffer(block);
	int fd = need(open(path, O_WRONLY | O_CREAT | O_EXCL, 0644), path);
	long start = cpu_ns(), written;

	write_file(fd, from, bytes, block);
	written = cpu_ns();
	close(fd);
	need(unlink(path), "unlink");
	printf("%ld %ld\n", written - start, cpu_ns() - written);
}

static void timed_again(const char *path, long block)
{
	char *to = buffer(block);
	int fd = need(open(path, O_RDONLY), path);
	long start = cpu_ns();

	while (need(read(fd, to, block), "read") > 0)
		;
	printf("%ld\n", cpu_ns() - start);
}

static void timed_map(const char *path)
{
	int fd = need(open(path, O_RDONLY), path);
	long bytes = need(lseek(fd, 0, SEEK_END), "lseek"), start = cpu_ns(), at;
	volatile char *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	need(map == MAP_FAILED ? -1 : 0, "mmap");
	for (at = 0; at < bytes; at += PAGE)
		(void)map[at];
	printf("%ld\n", cpu_ns() - start);
}

static void timed_anonymous(long bytes)
{
	long start = cpu_ns(), at;
	volatile char *map =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(map == MAP_FAILED ? -1 : 0, "mmap");
	madvise((void *)map, bytes, MADV_NOHUGEPAGE);
	for (at = 0; at < bytes; at += PAGE)
		map[at] = 'm';
	printf("%ld\n", cpu_ns() - start);
}

struct writer {
	const char *path;
	char *from;
	long number, bytes, block;
};

static void *write_own(void *argument)
{
	struct writer *writer = argument;
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s-%ld", writer->path, writer->number);
	fd = need(open(path, O_WRONLY | O_CREAT | O_EXCL, 0644), path);
	write_file(fd, writer->from, writer->bytes, writer->block);
	close(fd);
	need(unlink(path), "unlink");
	return NULL;
}

static void timed_crowd(const char *path, long bytes, long block)
{
	char *from = buffer(block);
	struct writer writers[CROWD];
	pthread_t threads[CROWD];
	long start = cpu_ns(), number;

	for (number = 0; number < CROWD; number++) {
		writers[number] = (struct writer){path, from, number, bytes / CROWD, block};
		need(-pthread_create(&threads[number], NULL, write_own, &writers[number]),
		     "thread");
	}
	for (number = 0; number < CROWD; number++)
		need(-pthread_join(threads[number], NULL), "join");
	printf("%ld\n", cpu_ns() - start);
}

static int seen(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)path, (void)st, (void)type, (void)place;
	return 0;
}

static void timed_walk(const char *path)
{
	long start = cpu_ns();

	need(nftw(path, seen, 16, FTW_PHYS), "nftw");
	printf("%ld\n", cpu_ns() - start);
}

static long *shuffled(long pages)
{
	long *order = malloc(pages * sizeof(*order)), page;

	srandom(1);
	for (page = 0; page < pages; page++) {
		long other = random() % (page + 1);

		order[page] = order[other];
		order[other] = page;
	}
	return order;
}

static void timed_random(const char *path)
{
	int fd = need(open(path, O_RDONLY), path);
	struct stat st;
	long pages, page, *order, start;
	char *to = buffer(PAGE);

	need(fstat(fd, &st), "fstat");
	pages = st.st_size / PAGE;
	order = shuffled(pages);
	need(fsync(fd), "fsync");
	need(-posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "fadvise");
	need(-posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), "fadvise");
	start = cpu_ns();
	for (page = 0; page < pages; page++)
		need(pread(fd, to, PAGE, order[page] * PAGE), "pread");
	printf("%ld\n", cpu_ns() - start);
}

static void trickle(const char *path)
{
	char *from = buffer(PAGE);

	for (;;) {
		int fd = need(open(path, O_WRONLY | O_CREAT, 0644), path);

		write_file(fd, from, TRICKLE, PAGE);
		close(fd);
		need(unlink(path), "unlink");
		usleep(100000);
	}
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "write"))
		timed_write(argv[2], atol(argv[3]), atol(argv[4]));
	else if (argc == 4 && !strcmp(argv[1], "again"))
		timed_again(argv[2], atol(argv[3]));
	else if (argc == 3 && !strcmp(argv[1], "map"))
		timed_map(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "anonymous"))
		timed_anonymous(atol(argv[2]));
	else if (argc == 3 && !strcmp(argv[1], "random"))
		timed_random(argv[2]);
	else if (argc == 5 && !strcmp(argv[1], "crowd"))
		timed_crowd(argv[2], atol(argv[3]), atol(argv[4]));
	else if (argc == 3 && !strcmp(argv[1], "walk"))
		timed_walk(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "trickle"))
		trickle(argv[2]);
	else
		return 2;
	return 0;
}
