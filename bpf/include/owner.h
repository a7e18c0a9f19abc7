/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * owner.h: which memory cgroup a folio of the page cache is charged to.
 *
 * The folio's memcg_data says it: the cgroup itself or, by Linux 7.2, an obj_cgroup, which
 * points to the cgroup and, once that is removed, to its parent. A folio keeps its obj_cgroup:
 * reparent.bpf.c remembers whose each one was when it changes hands, so that a page leaves in
 * the name of the cgroup it came in for, as on all other kernels.
 */
#ifndef MEMTRACE_OWNER_H
#define MEMTRACE_OWNER_H

#include "kernel.h"
#include "maps.h"

/*
 * The removed cgroup an obj_cgroup was of, by its address. The agent removes what it has
 * folded; it gives the map one element where cgroups do not reparent.
 */
MT_HASH(removed_owners, __u64, __u64, 16384);

#ifdef MEMTRACE_BCC

/* Id of the memory cgroup a folio is charged to, 0 if none. */
MT_INLINE __u64 owner_id(__u64 memcg_data)
{
	__u64 owner = memcg_data & ~MEMCG_DATA_FLAGS;

	return owner ? memcg_id((struct mem_cgroup *)owner) : 0;
}

#else

#define MT_NODES 64
#define E2BIG 7

CONFIG_U32(memory_nodes); /* one more than the highest number of a NUMA node */

MT_INLINE struct mem_cgroup_per_node *memory_node(struct mem_cgroup *memcg, __u32 number)
{
	char *nodes = (char *)memcg + bpf_core_field_offset(memcg->nodeinfo);
	struct mem_cgroup_per_node *node = 0;

	bpf_probe_read_kernel(&node, sizeof(node), nodes + number * sizeof(node));
	return node;
}

/* Whether it is one of the cgroup's own, not inherited from one below. */
MT_INLINE bool is_own(struct mem_cgroup *memcg, struct obj_cgroup *objcg)
{
	__u32 number;

#pragma unroll 1
	for (number = 0; number < MT_NODES && number < CFG(memory_nodes); number++) {
		struct mem_cgroup_per_node *node = memory_node(memcg, number);

		if (node && SREAD(node, objcg) == objcg)
			return true;
	}
	return false;
}

/* The memory cgroup that pays for a folio now. */
MT_INLINE struct mem_cgroup *owner(__u64 memcg_data)
{
	__u64 owner = memcg_data & ~MEMCG_DATA_FLAGS;

	if (owner && MT_REPARENTS)
		return SREAD((struct obj_cgroup *)owner, memcg);
	return (struct mem_cgroup *)owner;
}

/*
 * Whose pages an obj_cgroup holds: a removed cgroup's, or those of the one it points to. An
 * address that is used again is its new owner's own. A function of its own so that, where
 * nothing is inherited, it takes no register from the path of every page.
 */
static __attribute__((noinline)) __u64 objcg_owner_id(__u64 address)
{
	struct obj_cgroup *objcg = (struct obj_cgroup *)address;
	struct mem_cgroup *memcg = SREAD(objcg, memcg);
	__u64 *removed = MAP_GET(removed_owners, &address);

	if (!memcg)
		return 0;
	return removed && !is_own(memcg, objcg) ? *removed : memcg_id(memcg);
}

/* Id of the memory cgroup a folio is charged to, 0 if none; removed ones keep theirs. */
MT_INLINE __u64 owner_id(__u64 memcg_data)
{
	__u64 owner = memcg_data & ~MEMCG_DATA_FLAGS;

	if (owner && MT_REPARENTS)
		return objcg_owner_id(owner);
	return owner ? memcg_id((struct mem_cgroup *)owner) : 0;
}

/* From here on what is charged through this obj_cgroup is the removed cgroup's. */
MT_INLINE void remember_owner(__u64 memcg_data, __u64 id, __u64 flags)
{
	__u64 objcg = memcg_data & ~MEMCG_DATA_FLAGS;

	if (!MT_REPARENTS)
		return;
	if (mt_map_update(MAP(removed_owners), &objcg, &id, flags) == -E2BIG)
		count_loss(MT_LOST_OWNERS, 1);
}

#endif
#endif
