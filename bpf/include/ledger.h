/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ledger.h: from an event to the joint ledger, cheaply.
 *
 * A per-CPU slot holds the run of equal events seen last. An equal event only
 * bumps it; another one flushes it: one row of the ledger and one of `totals`.
 * There are two ledgers. The agent flips `control.epoch`, runs `flush` on every
 * CPU and drains the one that nobody fills any more: what it reads are exact
 * sums of one interval, and reading costs what changed, not what exists.
 * `busy` keeps `flush`, which arrives by interrupt, out of a half-written slot.
 */
#ifndef MEMTRACE_LEDGER_H
#define MEMTRACE_LEDGER_H

#include "maps.h"

enum mt_slot_index {
	MT_SLOT_ADD,
	MT_SLOT_DELETE,
	MT_SLOT_SHMEM_ADD,
	MT_SLOTS,
};

#define MT_SLOT_COUNTED 0
#define MT_SLOT_HUGETLB 1 /* not in memory.stat's cache: dropped */

struct mt_slot {
	__u32 busy;
	__u32 fate;
	__u64 mapping; /* mapping, inode, generation, memcg, cause: what makes events equal */
	__u64 inode;
	__u64 memcg;
	__u64 cause;
	__u64 pages;
	__u32 generation;
	__u32 pad;
	struct mt_ledger_key key;
	struct mt_ledger_value value;
};

MT_PERCPU(slots, struct mt_slot, MT_SLOTS);
MT_ARRAY(control, struct mt_control, 1);
MT_HASH(ledger_a, struct mt_ledger_key, struct mt_ledger_value, 65536);
MT_HASH(ledger_b, struct mt_ledger_key, struct mt_ledger_value, 65536);
MT_HASH(totals, __u64, struct mt_total, 16384);
MT_ARRAY(empty_total, struct mt_total, 1); /* too large for the stack of a deep call */

MT_INLINE __u32 current_epoch(void)
{
	__u32 zero = 0;
	struct mt_control *now = MAP_GET(control, &zero);

	return now ? now->epoch & 1 : 0;
}

MT_INLINE struct mt_ledger_value *ledger_row(__u32 epoch, const struct mt_ledger_key *key)
{
	return epoch ? MAP_GET(ledger_b, key) : MAP_GET(ledger_a, key);
}

MT_INLINE long ledger_insert(__u32 epoch, const struct mt_ledger_key *key,
			     const struct mt_ledger_value *value)
{
	return epoch ? MAP_ADD(ledger_b, key, value) : MAP_ADD(ledger_a, key, value);
}

/* False when the ledger has no room: the pages then stay in the cgroup's totals alone. */
MT_INLINE bool add_to_ledger(__u32 epoch, struct mt_slot *slot)
{
	struct mt_ledger_value *row = ledger_row(epoch, &slot->key);

	if (!row) {
		slot->value.pages = slot->pages;
		if (ledger_insert(epoch, &slot->key, &slot->value) == 0)
			return true;
		row = ledger_row(epoch, &slot->key); /* another CPU was faster, or full */
	}
	if (!row)
		return false;
	__sync_fetch_and_add(&row->pages, slot->pages);
	return true;
}

MT_INLINE struct mt_total *total_of(__u64 cgroup)
{
	struct mt_total *total = MAP_GET(totals, &cgroup);
	struct mt_total *empty;
	__u32 zero = 0;

	if (total)
		return total;
	empty = MAP_GET(empty_total, &zero);
	if (!empty)
		return 0;
	MAP_ADD(totals, &cgroup, empty);
	return MAP_GET(totals, &cgroup);
}

MT_INLINE void add_to_total(struct mt_slot *slot, bool in_ledger)
{
	struct mt_total *total = total_of(slot->key.cgroup);
	__u32 kind = slot->key.kind;
	bool removal = kind >= MT_REMOVED;

	if (!total) {
		count_loss(MT_LOST_TOTAL_PAGES, slot->pages);
		return;
	}
	if (removal)
		__sync_fetch_and_add(&total->removed[kind & (MT_REASONS - 1)], slot->pages);
	else
		__sync_fetch_and_add(&total->added[kind & (MT_KINDS - 1)], slot->pages);
	if (in_ledger)
		return;
	count_loss(MT_LOST_LEDGER_PAGES, slot->pages);
	if (removal)
		__sync_fetch_and_add(&total->overflow_removed, slot->pages);
	else
		__sync_fetch_and_add(&total->overflow_added, slot->pages);
}

/* Moves a slot's run into the ledger of `epoch` and leaves the slot empty. */
MT_INLINE void flush_slot(struct mt_slot *slot, __u32 epoch)
{
	if (slot->pages && slot->fate == MT_SLOT_COUNTED) {
		if (slot->key.cgroup)
			add_to_total(slot, add_to_ledger(epoch, slot));
		else
			count_loss(MT_LOST_NO_CGROUP, slot->pages);
	}
	slot->pages = 0;
	slot->mapping = 0;
}

MT_INLINE struct mt_slot *enter_slot(__u32 index)
{
	struct mt_slot *slot = MAP_GET(slots, &index);

	if (slot) {
		slot->busy = 1;
		MT_BARRIER();
	}
	return slot;
}

MT_INLINE void leave_slot(struct mt_slot *slot)
{
	MT_BARRIER();
	slot->busy = 0;
}

#endif
