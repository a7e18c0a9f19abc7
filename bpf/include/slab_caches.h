/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * slab_caches.h: what memtrace asks of a slab cache, whatever the kernel. libbpf only: struct
 * kmem_cache is in no installed header.
 */
#ifndef MEMTRACE_SLAB_CACHES_H
#define MEMTRACE_SLAB_CACHES_H

#include "kernel.h"

#define SLAB_ACCOUNT_6_8 0x04000000U
#define SLAB_RECLAIM_ACCOUNT_6_8 0x00020000U
#define GFP_ACCOUNT (1U << 22)
#define OBJCG_POINTER_BYTES 8

/*
 * Bit numbers since Linux 6.9 (cc61eb851c9a "mm, slab: use an enum to define SLAB_ cache
 * creation flags"), constants before.
 */
MT_INLINE __u32 reclaim_account_flag(void)
{
	if (bpf_core_enum_value_exists(enum _slab_flag_bits, _SLAB_RECLAIM_ACCOUNT))
		return 1U << KENUM(_slab_flag_bits, _SLAB_RECLAIM_ACCOUNT);
	return SLAB_RECLAIM_ACCOUNT_6_8;
}

MT_INLINE __u32 account_flag(void)
{
	if (bpf_core_enum_value_exists(enum _slab_flag_bits, _SLAB_ACCOUNT))
		return 1U << KENUM(_slab_flag_bits, _SLAB_ACCOUNT);
	return SLAB_ACCOUNT_6_8;
}

MT_INLINE bool is_reclaimable(struct kmem_cache *cache)
{
	return KREAD(cache, flags) & reclaim_account_flag();
}

/* Whether a memory cgroup pays for the object: every one of the cache, or asked for here. */
MT_INLINE bool is_accounted(struct kmem_cache *cache, __u64 gfp)
{
	return KREAD(cache, flags) & account_flag() || gfp & GFP_ACCOUNT;
}

/* What one object is charged. */
MT_INLINE __u32 charged_bytes(struct kmem_cache *cache)
{
	return KREAD(cache, size) + OBJCG_POINTER_BYTES;
}

/* Who pays for what current allocates: for buffer heads, say, the file's owner. NULL: no one. */
MT_INLINE struct mem_cgroup *paying_memcg(struct task_struct *task)
{
	struct mem_cgroup *memcg = 0;
	struct css_set *set;

	if (bpf_core_field_exists(task->active_memcg))
		memcg = KREAD(task, active_memcg);
	if (!memcg) {
		set = KREAD(task, cgroups);
		bpf_probe_read_kernel(&memcg, sizeof(memcg),
				      &set->subsys[KENUM(cgroup_subsys_id, memory_cgrp_id)]);
	}
	return memcg && SREAD(memcg, css.parent) ? memcg : 0; /* the root's are not accounted */
}

#endif
