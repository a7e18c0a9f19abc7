/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * task_io.h: what a process read from and wrote to disk, as /proc/PID/io adds it up.
 */
#ifndef MEMTRACE_TASK_IO_H
#define MEMTRACE_TASK_IO_H

#include "kernel.h"

#define MT_THREADS 256 /* looked at; more than that end together in no sane process */

struct mt_disk_io {
	__u64 read_bytes;
	__u64 write_bytes;
};

/*
 * Threads and children that are gone, then those still in the list. In this order a thread
 * that goes meanwhile is missed, never counted twice.
 */
MT_INLINE void sum_io(struct signal_struct *signal, struct mt_disk_io *io)
{
	struct list_head *node, *head = &signal->thread_head;
	struct task_struct *thread;
	int count;

	io->read_bytes = SREAD(signal, ioac.read_bytes);
	io->write_bytes = SREAD(signal, ioac.write_bytes);
	node = SREAD(head, next);
#pragma unroll 1
	for (count = 0; count < MT_THREADS && node != head; count++) {
		thread = (struct task_struct *)((char *)node - MT_OFFSET(task_struct, thread_node));
		io->read_bytes += SREAD(thread, ioac.read_bytes);
		io->write_bytes += SREAD(thread, ioac.write_bytes);
		node = SREAD(node, next);
	}
}

#endif
