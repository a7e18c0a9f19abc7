/* kernel_memory KIND COUNT: kernel memory of one kind: threads, tables, percpu or sockets. */
#include "work.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define TABLE_BYTES (2L << 20) /* what one page of page table maps */

static void *sleep_on(void *unused)
{
	pause();
	return unused;
}

static void threads(long count)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	while (count-- > 0)
		if (pthread_create(&thread, &small, sleep_on, NULL))
			die("pthread_create");
}

static void tables(long count)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *map = mmap(NULL, count * TABLE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (map == MAP_FAILED)
		die("mmap");
	need(madvise(map, count * TABLE_BYTES, MADV_NOHUGEPAGE), "madvise");
	for (long n = 0; n < count; n++)
		map[n * TABLE_BYTES] = 1;
}

/* Elements made one by one: what a map allocates when it is created is charged to the root. */
static void percpu(long count)
{
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_PERCPU_HASH,
		.map_flags = BPF_F_NO_PREALLOC,
		.key_size = sizeof(long),
		.value_size = 512,
		.max_entries = count,
	};
	static char values[512 * 1024];
	union bpf_attr element = {
		.map_fd = need(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)), "bpf map"),
		.value = (unsigned long)values,
		.key = (unsigned long)&count,
	};

	while (count > 0) {
		if (syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &element, sizeof(element)) == 0)
			count--;
		else if (errno == ENOMEM)
			usleep(1000); /* the allocator refills its stock in the background */
		else
			die("bpf element");
	}
}

static void fill_connection(void)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(here);
	int server = need(socket(AF_INET, SOCK_STREAM, 0), "socket");
	int client = need(socket(AF_INET, SOCK_STREAM, 0), "socket");
	static char data[65536];

	need(bind(server, (struct sockaddr *)&here, size), "bind");
	need(listen(server, 1), "listen");
	need(getsockname(server, (struct sockaddr *)&here, &size), "getsockname");
	need(connect(client, (struct sockaddr *)&here, size), "connect");
	need(accept(server, NULL, NULL), "accept");
	while (send(client, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	if (errno != EAGAIN)
		die("send");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	const char *kind = argv[1];
	long count = atol(argv[2]);

	if (!strcmp(kind, "threads"))
		threads(count);
	else if (!strcmp(kind, "tables"))
		tables(count);
	else if (!strcmp(kind, "percpu"))
		percpu(count);
	else if (!strcmp(kind, "sockets"))
		while (count-- > 0)
			fill_connection();
	else
		return 2;
	hold();
	return 0;
}
