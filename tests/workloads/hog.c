/* hog BYTES [THREADS]: each of THREADS threads touches anonymous memory, BYTES together, then holds. */
#include "work.h"
#include <pthread.h>

static long bytes_each;

static void *touch(void *unused)
{
	(void)unused;
	buffer(bytes_each);
	return NULL;
}

int main(int argc, char **argv)
{
	long threads = argc > 2 ? atol(argv[2]) : 1;
	pthread_t others[threads];
	long i;

	bytes_each = atol(argv[1]) / threads;
	for (i = 1; i < threads; i++)
		need(-pthread_create(&others[i], NULL, touch, NULL), "pthread_create");
	touch(NULL);
	for (i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	hold();
	return 0;
}
