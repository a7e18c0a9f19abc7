/* Shared by every workload: fail loudly, and stay alive while the test looks. Causes no I/O of its own. */
#ifndef WORK_H
#define WORK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096L

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline long need(long result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static inline int open_file(const char *path, int flags)
{
	return need(open(path, flags, 0644), path);
}

static inline long file_bytes(int fd)
{
	struct stat st;

	need(fstat(fd, &st), "fstat");
	return st.st_size;
}

static inline void *map_file(int fd, long bytes, int prot, int flags)
{
	void *map = mmap(NULL, bytes, prot, flags, fd, 0);

	if (map == MAP_FAILED)
		die("mmap");
	return map;
}

/* Memory outside the page cache, filled so that no page of it is the zero page. */
static inline char *buffer(long bytes)
{
	char *memory = map_file(-1, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);

	memset(memory, 'm', bytes);
	return memory;
}

/* Say that the work is done and wait until the test closes our standard input. */
static inline void hold(void)
{
	char byte;

	need(write(STDOUT_FILENO, "ready\n", 6), "stdout");
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

#endif
