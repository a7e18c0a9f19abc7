// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lifecycle.bpf.c: what comes and goes. Memory cgroups being made, removed (the directory
 * is gone) and released (the last page charged to them is gone too); other hierarchies' are
 * not reported: ids are per hierarchy. New names (exec) and ends (exit) of processes that
 * are already in the ledger, with what they needed and moved; of others nothing: their name
 * comes at first sight.
 *
 * One object, as loading each costs 10 to 20 ms; the agent chooses among its programs.
 */
#include "engine.h"
#include "kernel.h"
#include "maps.h"
#include "names.h"
#include "task_io.h"

CONFIG_U32(memory_hierarchy); /* cgroup_root.hierarchy_id of the memory controller */

MT_PERCPU(cgroup_scratch, struct mt_cgroup_event, 1);

MT_INLINE void tell(struct cgroup *cgroup, const char *path, __u32 type)
{
	struct cgroup_root *root = KREAD(cgroup, root);
	struct cgroup_subsys_state *parent;
	struct mt_cgroup_event *event;
	struct kernfs_node *node;
	__u32 zero = 0;
	long bytes;

	if ((__u32)KREAD(root, hierarchy_id) != CFG(memory_hierarchy))
		return;
	event = MAP_GET(cgroup_scratch, &zero);
	if (!event)
		return;
	node = KREAD(cgroup, kn);
	event->type = type;
	event->id = KREAD(node, id);
	parent = KREAD(cgroup, self.parent);
	event->parent = 0;
	if (parent) {
		struct cgroup *above = SREAD(parent, cgroup);

		node = SREAD(above, kn);
		event->parent = SREAD(node, id);
	}
	bytes = bpf_probe_read_kernel_str(event->path, MT_PATH_BYTES, path);
	if (bytes < 0)
		bytes = 0;
	bytes &= 2 * MT_PATH_BYTES - 1;
	if (bytes > MT_PATH_BYTES)
		bytes = MT_PATH_BYTES;
	event->bytes = bytes;
	bytes += sizeof(*event) - MT_PATH_BYTES;
	if (type == MT_EVENT_CGROUP_MKDIR) /* a short container's name is soon gone from the disk */
		send_event_now(event, bytes, MT_LOST_RING);
	else
		send_event(event, bytes, MT_LOST_RING);
}

PROBE(cgroup_mkdir)
{
	tell((struct cgroup *)ARG(ctx, 0), (const char *)ARG(ctx, 1), MT_EVENT_CGROUP_MKDIR);
	return 0;
}

PROBE(cgroup_rmdir)
{
	tell((struct cgroup *)ARG(ctx, 0), (const char *)ARG(ctx, 1), MT_EVENT_CGROUP_RMDIR);
	return 0;
}

PROBE(cgroup_release)
{
	if (MT_REPARENTS) /* pages of it may be left, charged to its parent */
		return 0;
	tell((struct cgroup *)ARG(ctx, 0), (const char *)ARG(ctx, 1), MT_EVENT_CGROUP_RELEASE);
	return 0;
}

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
