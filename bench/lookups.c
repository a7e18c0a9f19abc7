/*
 * The timed workload of bench_slab.py. Prints the CPU time, user and system, of each step in
 * nanoseconds.
 *
 *   lookups PATH FILES COUNT   in a new directory PATH look up COUNT names that do not exist, and
 *                              one name that does COUNT times; in a new directory FILES make COUNT
 *                              files, and remove them: four numbers
 *
 * FILES is on tmpfs: ext4 passes over inodes that were freed in the last seconds, one by one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

static void miss(const char *name)
{
	struct stat st;

	if (stat(name, &st) == 0)
		exit(1);
}

static void find(const char *name)
{
	struct stat st;

	(void)name;
	need(stat(".", &st), "stat");
}

static void make(const char *name)
{
	need(close(need(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644), name)), name);
}

static void drop(const char *name)
{
	need(unlink(name), name);
}

static void timed(void (*step)(const char *), char kind, long count)
{
	long start = cpu_ns(), number;
	char name[64];

	for (number = 0; number < count; number++) {
		snprintf(name, sizeof(name), "%c%ld", kind, number);
		step(name);
	}
	printf("%ld ", cpu_ns() - start);
}

static void enter(const char *path)
{
	need(mkdir(path, 0755), path);
	need(chdir(path), path);
}

static void leave(const char *path)
{
	need(chdir("/"), "/");
	need(rmdir(path), path);
}

int main(int argc, char **argv)
{
	long count = argc == 4 ? atol(argv[3]) : 0;

	if (!count)
		return 2;
	enter(argv[1]);
	timed(miss, 'm', count);
	timed(find, 'f', count);
	leave(argv[1]);
	enter(argv[2]);
	timed(make, 'c', count);
	timed(drop, 'c', count);
	leave(argv[2]);
	return 0;
}
