// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (attached on demand)
/*
 * dirtiers.bpf.c: who makes clean pages dirty, and who pays for them: current
 * dirties, the folio's memory cgroup pays.
 *
 * The event comes when the kernel accounts a folio as dirty, the whole of it, once
 * until it is written back.
 */
#include "engine.h"
#include "kernel.h"
#include "uses.h"

/*
 * The row of the folio dirtied last on this CPU: the next one is mostly of the same. It
 * holds for one epoch, so that another choice of cgroups is heeded soon.
 */
struct mt_dirtied {
	__u64 mapping;
	__u64 inode;
	__u64 memcg;
	__u32 generation;
	__u32 thread;
	__u32 epoch;
	__u32 counted;
	struct mt_use_key key;
};

MT_PERCPU(dirtied, struct mt_dirtied, 1);

static __always_inline bool is_last(struct mt_dirtied *last, struct folio *folio,
				    struct inode *host, struct task_struct *task)
{
	return last->mapping == (__u64)folio->mapping && last->memcg == folio->memcg_data &&
	       last->thread == (__u32)task->pid && last->inode == host->i_ino &&
	       last->generation == host->i_generation && last->epoch == current_epoch();
}

static __always_inline void remember(struct mt_dirtied *last, struct folio *folio,
				     struct inode *host, struct task_struct *task)
{
	struct mt_use_key key = {};

	last->mapping = (__u64)folio->mapping;
	last->memcg = folio->memcg_data;
	last->thread = task->pid;
	last->inode = host->i_ino;
	last->generation = host->i_generation;
	last->epoch = current_epoch();
	key.payer = owner_id(last->memcg);
	last->counted = key.payer && is_watched(key.payer) && set_file(&key, host);
	if (!last->counted)
		return;
	set_user(&key, task);
	name_task(task, key.tgid, key.start);
	last->key = key;
}

static __always_inline int on_dirty(struct folio *folio)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct address_space *mapping = folio->mapping;
	struct inode *host = mapping->host;
	struct mt_dirtied *last;
	__u32 zero = 0;

	if (task->flags & PF_MEMALLOC) /* reclaim finds a dirty mapping: who wrote is unknown */
		return 0;
	last = MAP_GET(dirtied, &zero);
	if (!last)
		return 0;
	if (!is_last(last, folio, host, task))
		remember(last, folio, host, task);
	if (last->counted)
		count_use(&last->key, folio_pages(folio));
	return 0;
}

PROBE(writeback_dirty_folio)
{
	return on_dirty((struct folio *)ARG(ctx, 0));
}

/* The same before Linux 5.18, where it tells pages. */
PROBE(writeback_dirty_page)
{
	return on_dirty((struct folio *)ARG(ctx, 0));
}

LICENSE("Dual BSD/GPL");
