// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (attached on demand)
/*
 * stacks.bpf.c: from which user code pages enter the page cache, sampled by the page.
 *
 * Every CPU cuts the pages that it adds into blocks of cfg_stack_period and takes one page
 * of each block, chosen at random: a folio that has n chosen pages is told once, as n whole
 * blocks. So amounts are right on average for each stack, whatever the sizes of folios and the
 * rhythm of the program, and their sum is right to a block for each CPU.
 *
 * The kernel follows frame pointers; what lies beyond code that has none is missing.
 */
#include "engine.h"
#include "identify.h"
#include "kernel.h"
#include "names.h"
#include "owner.h"
#include "syscalls.h"
#include "watched.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mm_struct___code {
	unsigned long start_code;
};

struct task_struct___code {
	struct mm_struct___code *mm;
};

#pragma clang attribute pop

CONFIG_U32(stack_period);

/* Where a CPU is in its stream of pages. */
struct mt_sampling {
	__u64 until; /* pages before the next chosen one */
	__u64 rest;  /* of the block behind the chosen one */
	__u64 begun;
};

MT_PERCPU(sampling, struct mt_sampling, 1);
MT_PERCPU(stack_scratch, struct mt_stack_key, 1);
MT_HASH(stacks_a, struct mt_stack_key, struct mt_stack_value, 4096);
MT_HASH(stacks_b, struct mt_stack_key, struct mt_stack_value, 4096);

MT_INLINE __u64 period(void)
{
	return CFG(stack_period) ? CFG(stack_period) : 1;
}

MT_INLINE void begin_block(struct mt_sampling *at, __u64 ahead)
{
	__u64 chosen = bpf_get_prandom_u32() % period();

	at->until = ahead + chosen;
	at->rest = period() - 1 - chosen;
}

/* How many of the chosen pages are among the next `pages`. */
MT_INLINE __u64 chosen_among(struct mt_sampling *at, __u64 pages)
{
	__u64 behind, blocks = 1, chosen;

	if (at->until >= pages) {
		at->until -= pages;
		return 0;
	}
	behind = pages - at->until - 1;
	if (behind < at->rest) {
		begin_block(at, at->rest - behind);
		return blocks;
	}
	behind -= at->rest;
	blocks += behind / period();
	behind %= period();
	chosen = bpf_get_prandom_u32() % period();
	if (chosen < behind) {
		begin_block(at, period() - behind);
		return blocks + 1;
	}
	at->until = chosen - behind;
	at->rest = period() - 1 - chosen;
	return blocks;
}

MT_INLINE bool set_cause(struct mt_ledger_key *key, struct task_struct *task, struct folio *folio)
{
	struct address_space *mapping = folio_mapping(folio);
	struct inode *host = KREAD(mapping, host);
	bool metadata;

	key->cgroup = owner_id(folio_memcg_data(folio));
	if (!key->cgroup || !is_watched(key->cgroup))
		return false;
	if (identify_file(host, key, &metadata) != MT_SLOT_COUNTED)
		return false;
	key->tgid = KREAD(task, tgid);
	key->start = task_start(task);
	key->kind = metadata ? MT_METADATA : add_kind(task, current_syscall(task), mapping);
	key->pad = 0;
	return true;
}

MT_INLINE struct mt_stack_value *stack_row(__u32 epoch, const struct mt_stack_key *key)
{
	return epoch ? MAP_GET(stacks_b, key) : MAP_GET(stacks_a, key);
}

MT_INLINE long stack_insert(__u32 epoch, const struct mt_stack_key *key,
			    const struct mt_stack_value *value)
{
	return epoch ? MAP_ADD(stacks_b, key, value) : MAP_ADD(stacks_a, key, value);
}

MT_INLINE void count_stack(const struct mt_stack_key *key, const struct mt_stack_value *value)
{
	__u32 epoch = current_epoch();
	struct mt_stack_value *row = stack_row(epoch, key);

	if (!row) {
		if (stack_insert(epoch, key, value) == 0)
			return;
		row = stack_row(epoch, key); /* another CPU was faster, or full */
	}
	if (!row) {
		count_unkept(value->pages);
		return;
	}
	__sync_fetch_and_add(&row->pages, value->pages);
	__sync_fetch_and_add(&row->samples, 1);
}

static __always_inline void sample(__u64 *ctx, struct folio *folio, __u64 pages)
{
	struct mt_stack_value value = {.pages = pages, .samples = 1};
	struct task_struct *task = bpf_get_current_task_btf();
	struct mt_stack_key *key;
	__u32 zero = 0;

	key = MAP_GET(stack_scratch, &zero);
	if (!key || !set_cause((struct mt_ledger_key *)key, task, folio))
		return;
	name_task(task, key->tgid, key->start);
	__builtin_memset(key->pcs, 0, sizeof(key->pcs));
	if (!(KREAD(task, flags) & (PF_KTHREAD | PF_IO_WORKER))) {
		bpf_get_stack(ctx, key->pcs, sizeof(key->pcs), BPF_F_USER_STACK);
		value.text = BPF_CORE_READ((struct task_struct___code *)task, mm, start_code);
	}
	count_stack(key, &value);
}

PROBE(mm_filemap_add_to_page_cache)
{
	struct folio *folio = (struct folio *)ARG(ctx, 0);
	struct mt_sampling *at;
	__u64 blocks;
	__u32 zero = 0;

	at = MAP_GET(sampling, &zero);
	if (!at)
		return 0;
	if (!at->begun) {
		begin_block(at, 0);
		at->begun = 1;
	}
	blocks = chosen_among(at, folio_pages(folio));
	if (blocks)
		sample(ctx, folio, blocks * period());
	return 0;
}

LICENSE("Dual BSD/GPL");
