/* crowd FILE THREADS: threads that each write a page of FILE, and then end together, without being waited for. */
#include "work.h"

#include <pthread.h>

static int fd;
static pthread_barrier_t written;

static void *write_page(void *number)
{
	char page[PAGE];

	memset(page, 'c', PAGE);
	need(pwrite(fd, page, PAGE, (long)number * PAGE), "pwrite");
	pthread_barrier_wait(&written);
	pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 3)
		return 2;
	long threads = atol(argv[2]);

	fd = open_file(argv[1], O_CREAT | O_WRONLY);
	pthread_barrier_init(&written, NULL, threads + 1);
	for (long n = 0; n < threads; n++)
		if (pthread_create(&thread, NULL, write_page, (void *)n))
			die("pthread_create");
	pthread_barrier_wait(&written);
	need(fsync(fd), "fsync");
	hold();
	return 0;
}
