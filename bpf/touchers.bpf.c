// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (attached on demand)
/*
 * touchers.bpf.c: who reads or maps cached pages: in another memory cgroup than the one that
 * pays, or in that one. Nothing is charged for a page that is there, so the ledger never hears of
 * it.
 *
 * The events tell a mapping and a range of pages. What a reader asks for is told again
 * and again, from further on each time, until it has got all of it: only the first
 * telling counts, unless the rest turns out to be paid by somebody else. Who pays is
 * looked up for the first page of what is told. A large folio that a fault maps as a whole
 * (faults.h) counts as a whole, once.
 */
#include "engine.h"
#include "faults.h"
#include "kernel.h"
#include "lookup.h"
#include "uses.h"

#define MT_MAPPED 16 /* pages mapped around one fault, unless somebody changed it */
#define MT_MAPPED_MOST 64

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
	if (!memcg)
		return false;
	key->payer = owner_id(memcg);
	if (!key->payer || !is_watched(key->payer))
		return false;
	key->user = task_memcg_id(task);
	return true;
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
	bool counts;

	if (last > end)
		last = end;
	if (first > last)
		return 0;
	before = MAP_GET(readings, &thread);
	counts = set_touch(&now.key, paid_by(mapping_of(ctx), first), task);
	if (before && counts && same_payer(before, mapping, first, last, now.key.payer)) {
		before->first = first;
		return 0;
	}
	if (before)
		take_back(before, mapping, first, last);
	if (counts && complete(&now.key, mapping, task)) {
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

/* A folio that was mapped, or a page of one, of which events go on telling. */
struct mt_mapped {
	__u32 tgid;
	__u32 process_start;
	__u64 start;
	__u64 mapping;
	__u64 first;
};

MT_LRU(mapped_before, struct mt_mapped, __u32, 16384);

/* Whether the process has it mapped there for the first time. */
static __always_inline bool is_new(struct mt_view *view, __u64 first)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mt_mapped mapped = {task->tgid, task_start(task), view->start, view->mapping, first};
	__u32 one = 1;

	return MAP_ADD(mapped_before, &mapped, &one) == 0;
}

/*
 * Pages that a fault maps of the folio at `index`, where this memcg pays for it. The pages
 * around a fault are the same ones for all faults among them, except where a mapping begins:
 * the first ones and the next may overlap.
 */
__attribute__((noinline)) __u64 mapped_at(struct mt_view *view, __u64 mapping, __u64 index,
					  __u64 memcg)
{
	struct folio *folio = TYPED(folio, folio_at((struct address_space *)mapping, index));
	__u64 pages, first;

	if (!view || !folio || (__u64)folio->mapping != mapping || folio->memcg_data != memcg)
		return 0;
	pages = folio_pages(folio);
	first = folio->index;
	if (view->mapping != mapping)
		return 1;
	if (pages > 1 && maps_whole(view, first, pages))
		return is_new(view, first) ? pages : 0;
	return index >= view->first + MT_MAPPED || is_new(view, index);
}

/* Who pays for the first of these pages that is cached. */
__attribute__((noinline)) __u64 first_payer(__u64 mapping, __u64 first, __u64 last)
{
	__u64 memcg = 0;
	int step;

#pragma unroll 1
	for (step = 0; step < MT_MAPPED_MOST && first + step <= last && !memcg; step++)
		memcg = paid_by(mapping, first + step);
	return memcg;
}

/* Fills in the view where the last fault was about these pages; others come from no fault. */
static __always_inline void see(struct mt_view *view, struct task_struct *task, __u64 first,
				__u64 last)
{
	struct mt_fault *fault = fault_of(task);

	if (fault)
		view_at(task, fault->address, view);
	if (view->index < first || view->index > last)
		view->mapping = 0;
}

/* Pages that are there are mapped together; counted are those that belong with the first of them. */
PROBE(mm_filemap_map_pages)
{
	struct address_space *mapping = (struct address_space *)ARG(ctx, 0);
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 first = ARG(ctx, 1), last = ARG(ctx, 2);
	__u64 place = mapping_of(ctx), memcg = first_payer(place, first, last), pages = 0;
	struct mt_use_key key = {};
	struct mt_view view = {};
	int step;

	if (!set_touch(&key, memcg, task) || !complete(&key, mapping, task))
		return 0;
	see(&view, task, first, last);
#pragma unroll 1
	for (step = 0; step < MT_MAPPED_MOST; step++) {
		if (first + step > last)
			break;
		pages += mapped_at(&view, place, first + step, memcg);
	}
	count_use(&key, pages);
	return 0;
}

/* Before the page is looked for: one that is not there yet will be the task's own. */
PROBE(mm_filemap_fault)
{
	struct address_space *mapping = (struct address_space *)ARG(ctx, 0);
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 place = mapping_of(ctx), index = ARG(ctx, 1), memcg = paid_by(place, index);
	struct mt_use_key key = {};
	struct mt_view view = {};

	if (!set_touch(&key, memcg, task) || !complete(&key, mapping, task))
		return 0;
	see(&view, task, index, index);
	count_use(&key, mapped_at(&view, place, index, memcg));
	return 0;
}

PROBE(page_fault_user)
{
	keep_fault(bpf_get_current_task_btf(), ARG(ctx, 0));
	return 0;
}

PROBE(page_fault_kernel)
{
	keep_fault(bpf_get_current_task_btf(), ARG(ctx, 0));
	return 0;
}

__attribute__((noinline)) bool fills_table(__u64 mapping, __u64 index)
{
	struct folio *folio = TYPED(folio, folio_at((struct address_space *)mapping, index));

	return folio && folio_pages(folio) == MT_PAGES_PER_TABLE;
}

/* A folio as large as a page table is mapped without any event of its own: memory grows, though. */
PROBE(rss_stat)
{
	struct mm_struct *mm = (struct mm_struct *)ARG(ctx, 0);
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 member = ARG(ctx, 1);
	struct mt_use_key key = {};
	struct mt_view view = {};
	struct mt_fault *fault;
	struct address_space *mapping;
	__u64 memcg;

	if (mm != task->mm || member == MM_ANONPAGES || member == MM_SWAPENTS)
		return 0;
	fault = fault_of(task);
	if (!fault || fault->settled)
		return 0;
	fault->settled = 1;
	view_at(task, fault->address, &view);
	if (!view.mapping || !fills_table(view.mapping, view.index))
		return 0;
	mapping = TYPED(address_space, view.mapping);
	memcg = paid_by(view.mapping, view.index);
	if (set_touch(&key, memcg, task) && complete(&key, mapping, task))
		count_use(&key, mapped_at(&view, view.mapping, view.index, memcg));
	return 0;
}

LICENSE("Dual BSD/GPL");
