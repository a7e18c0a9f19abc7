// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (bpf_loop callbacks)
/*
 * reparent.bpf.c: remembers whose the pages of a memory cgroup are when it is removed, on
 * kernels that then charge them to its parent (owner.h). Loaded there only.
 *
 * The directory is gone and the pages still have their owner: the kernel moves them later,
 * and not before the cgroup_mutex held here is free. What the cgroup inherited before
 * memtrace came counts as its own.
 */
#include "engine.h"
#include "kernel.h"
#include "maps.h"
#include "owner.h"

#define MT_INHERITED 65536

CONFIG_U32(memory_hierarchy); /* cgroup_root.hierarchy_id of the memory controller */

struct mt_removal {
	struct mem_cgroup *memcg;
	__u64 id;
	__u64 head; /* &objcg_list of one of its nodes */
	__u64 link; /* the list link to visit next */
};

/* One obj_cgroup a step; starts again when one is freed under the walk: it points elsewhere. */
static int remember_inherited(__u32 MT_UNUSED(step), struct mt_removal *removal)
{
	struct list_head *head = (struct list_head *)removal->head;
	struct obj_cgroup *objcg;

	if (removal->link == removal->head)
		return 1;
	objcg = (void *)(removal->link - bpf_core_field_offset(((struct obj_cgroup *)0)->list));
	if (SREAD(objcg, memcg) != removal->memcg) {
		removal->link = (__u64)SREAD(head, next);
		return 0;
	}
	remember_owner((__u64)objcg, removal->id, BPF_NOEXIST);
	removal->link = (__u64)SREAD(objcg, list.next);
	return 0;
}

static int remember_node(__u32 number, struct mt_removal *removal)
{
	struct mem_cgroup_per_node *node = memory_node(removal->memcg, number);
	__u64 own;

	if (!node)
		return 0;
	own = (__u64)SREAD(node, objcg);
	if (own)
		remember_owner(own, removal->id, BPF_ANY);
	removal->head = (__u64)node + bpf_core_field_offset(node->objcg_list);
	removal->link = (__u64)SREAD(node, objcg_list.next);
	bpf_loop(MT_INHERITED, remember_inherited, removal, 0);
	if (removal->link != removal->head)
		count_loss(MT_LOST_OWNERS, 1);
	return 0;
}

PROBE(cgroup_rmdir)
{
	struct cgroup *cgroup = (struct cgroup *)ARG(ctx, 0);
	struct cgroup_root *root = KREAD(cgroup, root);
	struct mt_removal removal = {0};

	if ((__u32)KREAD(root, hierarchy_id) != CFG(memory_hierarchy))
		return 0;
	bpf_probe_read_kernel(&removal.memcg, sizeof(removal.memcg),
			      &cgroup->subsys[KENUM(cgroup_subsys_id, memory_cgrp_id)]);
	if (!removal.memcg) /* the memory controller is off here */
		return 0;
	removal.id = memcg_id(removal.memcg);
	bpf_loop(CFG(memory_nodes), remember_node, &removal, 0);
	return 0;
}

LICENSE("Dual BSD/GPL");
