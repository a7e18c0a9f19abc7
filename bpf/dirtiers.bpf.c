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

static __always_inline int on_dirty(struct folio *folio)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct address_space *mapping = folio->mapping;
	struct mt_use_key key = {};

	if (task->flags & PF_MEMALLOC) /* reclaim finds a dirty mapping: who wrote is unknown */
		return 0;
	key.payer = owner_id(folio->memcg_data);
	if (!key.payer || !is_watched(key.payer) || !set_file(&key, mapping->host))
		return 0;
	set_user(&key, task);
	name_task(task, key.tgid, key.start);
	count_use(&key, folio_pages(folio));
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
