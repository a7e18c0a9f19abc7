// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * processes.bpf.c: new names (exec) and ends (exit) of processes that are already
 * in the ledger, with what they needed and moved. Others are not reported: their name
 * comes at first sight.
 */
#include "engine.h"
#include "kernel.h"
#include "maps.h"
#include "names.h"

PROBE(sched_process_exec)
{
	struct task_struct *task = (struct task_struct *)ARG(ctx, 0);
	struct mt_task_id id = {.tgid = KREAD(task, tgid), .start = task_start(task)};

	if (!MAP_GET(named_tasks, &id))
		return 0;
	MAP_DELETE(named_tasks, &id);
	name_task(task, id.tgid, id.start);
	return 0;
}

#define MT_THREADS 256 /* looked at; more than that end together in no sane process */

/*
 * As /proc/PID/io adds it up: threads and children that are gone, then those still in the
 * list. In this order a thread that goes meanwhile is missed, never counted twice.
 */
MT_INLINE void sum_io(struct signal_struct *signal, struct mt_exit_event *event)
{
	struct list_head *node, *head = &signal->thread_head;
	struct task_struct *thread;
	int count;

	event->read_bytes = SREAD(signal, ioac.read_bytes);
	event->write_bytes = SREAD(signal, ioac.write_bytes);
	node = SREAD(head, next);
#pragma unroll 1
	for (count = 0; count < MT_THREADS && node != head; count++) {
		thread = (struct task_struct *)((char *)node - MT_THREAD_OFFSET);
		event->read_bytes += SREAD(thread, ioac.read_bytes);
		event->write_bytes += SREAD(thread, ioac.write_bytes);
		node = SREAD(node, next);
	}
}

PROBE(sched_process_exit)
{
	struct task_struct *task = (struct task_struct *)ARG(ctx, 0);
	struct mt_task_id id = {.tgid = KREAD(task, tgid), .start = task_start(task)};
	struct mt_exit_event event = {.type = MT_EVENT_EXIT, .tgid = id.tgid, .start = id.start};
	struct signal_struct *signal = KREAD(task, signal);
	__u64 peak = KREAD(signal, maxrss);
	__u32 *peaked;

	if (KREAD(signal, live.counter) != 0)
		return 0;
	peaked = MAP_GET(named_tasks, &id);
	if (!peaked)
		return 0;
	/* Until exec a new process counts its parent's memory as its own (fork, vfork). */
	event.peak_pages = peak > *peaked ? peak : MT_UNTOLD;
	MAP_DELETE(named_tasks, &id);
	event.read_bytes = event.write_bytes = MT_UNTOLD;
	if (MT_COUNTS_IO)
		sum_io(signal, &event);
	send_event(&event, sizeof(event), MT_LOST_RING);
	return 0;
}

LICENSE("Dual BSD/GPL");
