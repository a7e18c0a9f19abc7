/*
 * Many cached files in many cgroups, some of which change on demand. One process: it moves
 * from cgroup to cgroup, so that its pages are charged as those of many would be.
 *
 *   churn DIRECTORY FILES CGROUP...   make FILES files of one page, spread over the cgroups
 *
 * Says "ready", then for each line "COUNT SPREAD" on standard input takes COUNT pages out of
 * the cache and reads them again, in the files of SPREAD cgroups, and says "done".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static const char *directory;
static char **cgroups;
static long files, count_of_cgroups, moved; /* moved: which of a cgroup's files is next */
static char page[PAGE];

static long need(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void enter(long cgroup)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroups[cgroup]);
	fd = need(open(path, O_WRONLY), path);
	need(write(fd, "0", 1), path);
	close(fd);
}

static int opened(long cgroup, long file, int flags)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%ld/%ld", directory, cgroup, file);
	return need(open(path, flags, 0644), path);
}

static void make_all(void)
{
	char path[4096];
	long cgroup, file;
	int fd = -1;

	for (cgroup = 0; cgroup < count_of_cgroups; cgroup++) {
		snprintf(path, sizeof(path), "%s/%ld", directory, cgroup);
		need(mkdir(path, 0755), path);
		enter(cgroup);
		for (file = 0; file < files; file++) {
			fd = opened(cgroup, file, O_WRONLY | O_CREAT | O_EXCL);
			need(write(fd, page, PAGE), "write");
			close(fd);
		}
	}
	fd = need(open(directory, O_RDONLY), directory);
	need(syncfs(fd), "syncfs"); /* a dirty page does not leave the cache */
	close(fd);
}

static void renew(long cgroup, long file)
{
	int fd = opened(cgroup, file, O_RDONLY);

	need(-posix_fadvise(fd, 0, PAGE, POSIX_FADV_DONTNEED), "fadvise");
	need(pread(fd, page, PAGE, 0), "pread");
	close(fd);
}

static void change(long count, long spread)
{
	long each = count / spread, cgroup, file;

	for (cgroup = 0; cgroup < spread; cgroup++) {
		enter(cgroup);
		for (file = 0; file < each; file++)
			renew(cgroup, (moved + file) % files);
	}
	moved += each;
}

int main(int argc, char **argv)
{
	long count, spread;

	if (argc < 4)
		return 2;
	directory = argv[1];
	cgroups = argv + 3;
	count_of_cgroups = argc - 3;
	files = atol(argv[2]) / count_of_cgroups;
	make_all();
	puts("ready");
	fflush(stdout);
	while (scanf("%ld %ld", &count, &spread) == 2) {
		change(count, spread);
		puts("done");
		fflush(stdout);
	}
	return 0;
}
