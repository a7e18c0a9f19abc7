// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (attached on demand)
/*
 * refaults.bpf.c: of which file are pages that reclaim had taken, and that had to be
 * read again.
 *
 * The kernel counts a refault right after it added the folio, in the same task; the
 * slot of page_cache.bpf.c then still names the file. A task that moved to another CPU
 * in between is not paired: those pages are in `unkept`. The event fires five times
 * for each folio added, which is why this is attached only while pages refault.
 */
#include "engine.h"
#include "kernel.h"
#include "uses.h"

/* Whether the slot's latest event is this task's adding a page that `cgroup` pays for. */
static __always_inline bool just_added(struct mt_slot *slot, struct task_struct *task, __u64 cgroup)
{
	return slot->fate == MT_SLOT_COUNTED && slot->key.cgroup == cgroup &&
	       (__u32)slot->cause == (__u32)task->pid;
}

PROBE(mod_memcg_lruvec_state)
{
	struct task_struct *task;
	struct mt_use_key key = {};
	__u32 adds = MT_SLOT_ADD;
	struct mt_slot *slot;
	int pages = (int)ARG(ctx, 2);

	if ((__u32)ARG(ctx, 1) != KENUM(node_stat_item, WORKINGSET_REFAULT_FILE))
		return 0;
	key.payer = memcg_id((struct mem_cgroup *)ARG(ctx, 0));
	if (!is_watched(key.payer))
		return 0;
	task = bpf_get_current_task_btf();
	slot = MAP_GET(slots, &adds);
	if (!slot || !just_added(slot, task, key.payer)) {
		count_unkept(pages);
		return 0;
	}
	key.inode = slot->key.inode;
	key.device = slot->key.device;
	key.generation = slot->key.generation;
	count_use(&key, pages);
	return 0;
}

LICENSE("Dual BSD/GPL");
