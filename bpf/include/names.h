/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * names.h: tells the agent the path of an inode and the name of a process, once,
 * the first time either appears in the ledger. Lost names are told again at the
 * next sight.
 */
#ifndef MEMTRACE_NAMES_H
#define MEMTRACE_NAMES_H

#include "kernel.h"
#include "maps.h"

#define MT_NAME_SLACK 256
#define MT_PATH_STEPS 64

struct mt_task_id {
	__u32 tgid;
	__u32 start;
};

/* Room for the last component's read to overshoot, so that no bound is tested on the way. */
struct mt_path_scratch {
	struct mt_path_event event;
	char slack[MT_NAME_SLACK];
};

MT_LRU(named_files, struct mt_file, __u32, 65536);
/* The value: pages its memory peaked at before the program it runs now (its parent's, too). */
MT_LRU(named_tasks, struct mt_task_id, __u32, 8192);
/* By user, who may interrupt each other on a preemptible kernel: adds, deletes, the walk. */
MT_PERCPU(path_scratch, struct mt_path_scratch, 3);

/* Appends names from the inode's first dentry up to the root, leaf first. */
MT_INLINE void walk_path(struct inode *inode, struct mt_path_event *event)
{
	struct hlist_node *alias = SREAD(inode, i_dentry.first);
	struct dentry *dentry, *parent;
	const unsigned char *name;
	__u32 used = 0;
	long length;
	int step;

	if (!alias) {
		event->flags = MT_PATH_NONE;
		return;
	}
	dentry = (struct dentry *)((char *)alias - MT_ALIAS_OFFSET);
#pragma unroll 1
	for (step = 0; step < MT_PATH_STEPS; step++) {
		parent = SREAD(dentry, d_parent);
		if (!parent || (parent == dentry && step))
			break;
		if (parent == dentry)
			event->flags = MT_PATH_PSEUDO;
		name = SREAD(dentry, d_name.name);
		length = bpf_probe_read_kernel_str(event->path + (used & (MT_PATH_BYTES - 1)),
						   MT_NAME_SLACK, name);
		used += length & 511;
		if (length <= 0 || used >= MT_PATH_BYTES) {
			event->flags = MT_PATH_TRUNCATED;
			break;
		}
		if (parent == dentry)
			break;
		dentry = parent;
	}
	if (step == MT_PATH_STEPS)
		event->flags = MT_PATH_TRUNCATED;
	if (used > MT_PATH_BYTES)
		used = MT_PATH_BYTES;
	event->bytes = used;
}

MT_INLINE bool send_path(struct inode *inode, const struct mt_file *file, __u32 scratch_index)
{
	struct mt_path_scratch *scratch = MAP_GET(path_scratch, &scratch_index);
	struct mt_path_event *event;
	struct super_block *sb;
	__u64 bytes;

	if (!scratch)
		return false;
	event = &scratch->event;
	sb = SREAD(inode, i_sb);
	event->type = MT_EVENT_PATH;
	event->flags = 0;
	event->inode = file->inode;
	event->device = file->device;
	event->generation = file->generation;
	event->links = SREAD(inode, i_nlink);
	event->mode = SREAD(inode, i_mode);
	event->magic = SREAD(sb, s_magic);
	event->bytes = 0;
	event->superblock = SREAD(sb, s_dev);
	event->pad = 0;
	walk_path(inode, event);
	bytes = sizeof(*event) - MT_PATH_BYTES + (event->bytes & (2 * MT_PATH_BYTES - 1));
	if (bytes > sizeof(*event))
		bytes = sizeof(*event);
	return send_event(event, bytes, MT_LOST_NAMES);
}

MT_INLINE void name_file(struct inode *inode, const struct mt_file *file, __u32 scratch_index)
{
	__u32 one = 1;

	if (MAP_GET(named_files, file))
		return;
	if (send_path(inode, file, scratch_index))
		MAP_SET(named_files, file, &one);
}

MT_INLINE void name_task(struct task_struct *task, __u32 tgid, __u32 start)
{
	struct mt_task_id id = {.tgid = tgid, .start = start};
	struct mt_task_event event = {.type = MT_EVENT_TASK, .tgid = tgid, .start = start};
	struct signal_struct *signal;
	struct task_struct *leader;
	__u32 peaked;

	if (MAP_GET(named_tasks, &id))
		return;
	signal = KREAD(task, signal);
	peaked = KREAD(signal, maxrss);
	leader = KREAD(task, group_leader);
	bpf_probe_read_kernel_str(event.comm, sizeof(event.comm), &leader->comm);
	if (send_event(&event, sizeof(event), MT_LOST_NAMES))
		MAP_SET(named_tasks, &id, &peaked);
}

#endif
