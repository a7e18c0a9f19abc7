// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * processes.bpf.c: new names (exec) and ends (exit) of processes that are already
 * in the ledger. Others are not reported: their name comes at first sight.
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

PROBE(sched_process_exit)
{
	struct task_struct *task = (struct task_struct *)ARG(ctx, 0);
	struct mt_task_id id = {.tgid = KREAD(task, tgid), .start = task_start(task)};
	struct mt_task_event event = {.type = MT_EVENT_EXIT, .tgid = id.tgid, .start = id.start};

	if (KREAD(task, signal->live.counter) != 0 || !MAP_GET(named_tasks, &id))
		return 0;
	MAP_DELETE(named_tasks, &id);
	send_event(&event, sizeof(event), MT_LOST_RING);
	return 0;
}

LICENSE("Dual BSD/GPL");
