// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (attached on demand)
/*
 * touchers.bpf.c: who reads or maps cached pages that another memory cgroup pays for.
 * No page is added and nothing is charged then, so the ledger never hears of it.
 *
 * The events tell a mapping and a range of pages. What a reader asks for is told again
 * and again, from further on each time, until it has got all of it: only the first
 * telling counts, unless the rest turns out to be paid by somebody else. Who pays is
 * looked up for the first page of what is told.
 */
#include "engine.h"
#include "kernel.h"
#include "lookup.h"
#include "uses.h"

#define MT_PAGE_SHIFT 12
#define MT_MAPPED_MOST 64 /* pages mapped around one fault: 16 unless somebody changed it */

/* What a thread reads: counted up to `last` for `key`. */
struct mt_reading {
	__u64 mapping;
	__u64 first;
	__u64 last;
	struct mt_use_key key;
};

MT_LRU(readings, __u32, struct mt_reading, 4096);

/*
 * A function of its own, so that the verifier looks at it once and not for every page:
 * the loop over mapped pages took it seconds.
 */
__attribute__((noinline)) __u64 paid_by(__u64 mapping, __u64 index)
{
	return memcg_at((struct address_space *)mapping, index);
}

/* The first argument as a plain number, as a function of its own takes no pointers of the kernel. */
static __always_inline __u64 mapping_of(__u64 *ctx)
{
	__u64 mapping = 0;

	bpf_probe_read_kernel(&mapping, sizeof(mapping), &ctx[0]);
	return mapping;
}

/* Fills in who touches the pages of this owner; false where nothing is to be counted. */
static __always_inline bool set_touch(struct mt_use_key *key, __u64 memcg, struct task_struct *task)
{
	if (!memcg || owned_by_task(memcg, task))
		return false;
	key->payer = owner_id(memcg);
	if (!key->payer || !is_watched(key->payer))
		return false;
	key->user = task_memcg_id(task);
	return key->user != key->payer;
}

static __always_inline bool complete(struct mt_use_key *key, struct address_space *mapping,
				     struct task_struct *task)
{
	if (!set_file(key, mapping->host))
		return false;
	set_user(key, task);
	name_task(task, key->tgid, key->start);
	return true;
}

static __always_inline __u64 last_page(struct address_space *mapping)
{
	long long size = mapping->host->i_size;

	return size > 0 ? (__u64)(size - 1) >> MT_PAGE_SHIFT : 0;
}

/* The reader's next telling of what it has begun: what is left is not the old key's. */
static __always_inline void take_back(struct mt_reading *before, struct address_space *mapping,
				      __u64 first, __u64 last)
{
	if (before->mapping == (__u64)mapping && before->last == last && before->first < first)
		count_use(&before->key, -(last - first + 1));
}

static __always_inline bool same_payer(struct mt_reading *before, struct address_space *mapping,
				       __u64 first, __u64 last, __u64 payer)
{
	return before->mapping == (__u64)mapping && before->last == last && before->first < first &&
	       before->key.payer == payer;
}

PROBE(mm_filemap_get_pages)
{
	struct address_space *mapping = (struct address_space *)ARG(ctx, 0);
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 first = ARG(ctx, 1), last = ARG(ctx, 2), end = last_page(mapping);
	struct mt_reading *before, now = {};
	__u32 thread = task->pid;
	bool foreign;

	if (last > end)
		last = end;
	if (first > last)
		return 0;
	before = MAP_GET(readings, &thread);
	foreign = set_touch(&now.key, paid_by(mapping_of(ctx), first), task);
	if (before && foreign && same_payer(before, mapping, first, last, now.key.payer)) {
		before->first = first;
		return 0;
	}
	if (before)
		take_back(before, mapping, first, last);
	if (foreign && complete(&now.key, mapping, task)) {
		now.mapping = (__u64)mapping;
		now.first = first;
		now.last = last;
		count_use(&now.key, last - first + 1);
		MAP_SET(readings, &thread, &now);
	} else if (before) {
		MAP_DELETE(readings, &thread);
	}
	return 0;
}

static __always_inline void touch(struct address_space *mapping, __u64 memcg, __u64 pages,
				  struct task_struct *task)
{
	struct mt_use_key key = {};

	if (set_touch(&key, memcg, task) && complete(&key, mapping, task))
		count_use(&key, pages);
}

/* Pages that are there are mapped together; counted are those that belong with the first of them. */
PROBE(mm_filemap_map_pages)
{
	struct address_space *mapping = (struct address_space *)ARG(ctx, 0);
	__u64 first = ARG(ctx, 1), last = ARG(ctx, 2);
	__u64 place = mapping_of(ctx), owner = 0, pages = 0, memcg;
	int step;

#pragma unroll 1
	for (step = 0; step < MT_MAPPED_MOST; step++) {
		if (first + step > last)
			break;
		memcg = paid_by(place, first + step);
		if (!owner)
			owner = memcg;
		pages += memcg && memcg == owner;
	}
	touch(mapping, owner, pages, bpf_get_current_task_btf());
	return 0;
}

/* Before the page is looked for: one that is not there yet will be the task's own. */
PROBE(mm_filemap_fault)
{
	struct address_space *mapping = (struct address_space *)ARG(ctx, 0);

	touch(mapping, paid_by(mapping_of(ctx), ARG(ctx, 1)), 1, bpf_get_current_task_btf());
	return 0;
}

LICENSE("Dual BSD/GPL");
