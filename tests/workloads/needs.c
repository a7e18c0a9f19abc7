/* needs FILE WRITTEN READ TOUCHED: pages written and synced, read past the cache, and touched, by threads of its own. */
#include "work.h"

#include <pthread.h>

static const char *path;
static long written, read_pages, touched;

static void *write_some(void *pages)
{
	int fd = open_file(path, O_CREAT | O_WRONLY | O_APPEND);
	char *page = buffer(PAGE);

	for (long left = (long)pages; left > 0; left--)
		need(write(fd, page, PAGE), "write");
	need(fsync(fd), "fsync");
	close(fd);
	return NULL;
}

static void *read_some(void *unused)
{
	int fd = open_file(path, O_RDONLY | O_DIRECT);
	char *page = buffer(PAGE);

	for (long at = 0; at < read_pages; at++)
		need(pread(fd, page, PAGE, at * PAGE), "pread");
	close(fd);
	return unused;
}

static void run(void *(*work)(void *), long argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, (void *)argument))
		die("pthread_create");
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	path = argv[1];
	written = atol(argv[2]);
	read_pages = atol(argv[3]);
	touched = atol(argv[4]);
	run(write_some, written / 3); /* threads that are dead when the test looks */
	write_some((void *)(written - written / 3));
	run(read_some, 0);
	munmap(buffer(touched * PAGE), touched * PAGE); /* a peak, not what it has now */
	hold();
	return 0;
}
