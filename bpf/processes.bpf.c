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
#include "task_io.h"

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

PROBE(sched_process_exit)
{
	struct task_struct *task = (struct task_struct *)ARG(ctx, 0);
	struct mt_task_id id = {.tgid = KREAD(task, tgid), .start = task_start(task)};
	struct mt_exit_event event = {.type = MT_EVENT_EXIT, .tgid = id.tgid, .start = id.start};
	struct signal_struct *signal = KREAD(task, signal);
	__u64 peak = KREAD(signal, maxrss);
	struct mt_disk_io io = {MT_UNTOLD, MT_UNTOLD};
	__u32 *peaked;

	if (KREAD(signal, live.counter) != 0)
		return 0;
	peaked = MAP_GET(named_tasks, &id);
	if (!peaked)
		return 0;
	/* Until exec a new process counts its parent's memory as its own (fork, vfork). */
	event.peak_pages = peak > *peaked ? peak : MT_UNTOLD;
	MAP_DELETE(named_tasks, &id);
	if (MT_COUNTS_IO)
		sum_io(signal, &io);
	event.read_bytes = io.read_bytes;
	event.write_bytes = io.write_bytes;
	send_event(&event, sizeof(event), MT_LOST_RING);
	return 0;
}

LICENSE("Dual BSD/GPL");
