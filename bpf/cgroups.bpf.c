// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * cgroups.bpf.c: memory cgroups being made, removed (the directory is gone) and
 * released (the last page charged to them is gone too). Other hierarchies' are
 * not reported: ids are per hierarchy.
 */
#include "engine.h"
#include "kernel.h"
#include "maps.h"

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

LICENSE("Dual BSD/GPL");
