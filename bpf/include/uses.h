/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * uses.h: for programs that are attached on demand: who does something with pages
 * that which cgroup pays for. Only the cgroups in `watched` are looked at.
 *
 * As the ledger, there is one table for each epoch: the agent drains the one that
 * was left at the last flip. Files have their names from the ledger.
 */
#ifndef MEMTRACE_USES_H
#define MEMTRACE_USES_H

#include "identify.h"
#include "names.h"
#include "owner.h"
#include "watched.h"

MT_HASH(uses_a, struct mt_use_key, __u64, 8192);
MT_HASH(uses_b, struct mt_use_key, __u64, 8192);

MT_INLINE __u64 *use_row(__u32 epoch, const struct mt_use_key *key)
{
	return epoch ? MAP_GET(uses_b, key) : MAP_GET(uses_a, key);
}

MT_INLINE long use_insert(__u32 epoch, const struct mt_use_key *key, const __u64 *pages)
{
	return epoch ? MAP_ADD(uses_b, key, pages) : MAP_ADD(uses_a, key, pages);
}

MT_INLINE void count_use(const struct mt_use_key *key, __u64 pages)
{
	__u32 epoch = current_epoch();
	__u64 *row = use_row(epoch, key);

	if (!row) {
		if (use_insert(epoch, key, &pages) == 0)
			return;
		row = use_row(epoch, key); /* another CPU was faster, or full */
	}
	if (row)
		__sync_fetch_and_add(row, pages);
	else
		count_unkept(pages);
}

/* Fills in who: the process that is running. */
MT_INLINE void set_user(struct mt_use_key *key, struct task_struct *task)
{
	key->user = task_memcg_id(task);
	key->tgid = KREAD(task, tgid);
	key->start = task_start(task);
}

/* Fills in the file; false for what memory.stat does not count as page cache. */
MT_INLINE bool set_file(struct mt_use_key *key, struct inode *host)
{
	struct mt_ledger_key file = {};
	bool metadata;

	if (identify_file(host, &file, &metadata) != MT_SLOT_COUNTED)
		return false;
	key->inode = file.inode;
	key->device = file.device;
	key->generation = file.generation;
	return true;
}

#endif
