/*
 * uring PATH WHAT PAGES HOW: one request at a time through io_uring, without liburing.
 * WHAT: read or write. HOW: inline (the caller's thread) or async (an io-wq worker).
 */
#include <linux/io_uring.h>
#include <sys/syscall.h>

#include "work.h"

#define BLOCK 65536L

struct ring {
	int fd;
	unsigned *tail, *mask, *array, *head, *done, *done_mask;
	struct io_uring_sqe *requests;
	struct io_uring_cqe *answers;
};

static struct ring ring_new(void)
{
	struct io_uring_params p = {0};
	struct ring ring;
	char *sq, *cq;

	ring.fd = need(syscall(SYS_io_uring_setup, 1, &p), "io_uring_setup");
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
		  IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*ring.answers), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
	ring.requests = mmap(NULL, p.sq_entries * sizeof(*ring.requests), PROT_READ | PROT_WRITE, MAP_SHARED,
			     ring.fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || ring.requests == MAP_FAILED)
		die("mmap of the ring");
	ring.tail = (void *)(sq + p.sq_off.tail);
	ring.mask = (void *)(sq + p.sq_off.ring_mask);
	ring.array = (void *)(sq + p.sq_off.array);
	ring.head = (void *)(cq + p.cq_off.head);
	ring.done = (void *)(cq + p.cq_off.tail);
	ring.done_mask = (void *)(cq + p.cq_off.ring_mask);
	ring.answers = (void *)(cq + p.cq_off.cqes);
	return ring;
}

static long ring_do(struct ring *ring, struct io_uring_sqe request)
{
	unsigned slot = *ring->tail & *ring->mask;
	long result;

	ring->requests[slot] = request;
	ring->array[slot] = slot;
	__atomic_store_n(ring->tail, *ring->tail + 1, __ATOMIC_RELEASE);
	need(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), "io_uring_enter");
	while (__atomic_load_n(ring->done, __ATOMIC_ACQUIRE) == *ring->head)
		need(syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0), "wait");
	result = ring->answers[*ring->head & *ring->done_mask].res;
	__atomic_store_n(ring->head, *ring->head + 1, __ATOMIC_RELEASE);
	return result;
}

int main(int argc, char **argv)
{
	int writing = !strcmp(argv[2], "write");
	int fd = open_file(argv[1], writing ? O_WRONLY | O_CREAT : O_RDONLY);
	long end = atol(argv[3]) * PAGE, at = 0;
	struct ring ring = ring_new();
	char *memory = buffer(BLOCK);

	(void)argc;
	while (at < end) {
		struct io_uring_sqe request = {
			.opcode = writing ? IORING_OP_WRITE : IORING_OP_READ,
			.flags = strcmp(argv[4], "async") ? 0 : IOSQE_ASYNC,
			.fd = fd,
			.off = at,
			.addr = (unsigned long)memory,
			.len = end - at < BLOCK ? end - at : BLOCK,
		};
		long moved = ring_do(&ring, request);

		if (moved <= 0) {
			fprintf(stderr, "io_uring: %s\n", strerror(-moved));
			return 1;
		}
		at += moved;
	}
	return 0;
}
