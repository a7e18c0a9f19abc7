// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * page_cache.bpf.c: every page that enters or leaves the page cache, charged to
 * the memory cgroup of its folio, with the file, the process and the kind of I/O.
 *
 * On add the folio is already charged; on delete its memcg_data and mapping are
 * still set. Of tmpfs and shared memory only deletions are reported here; shmem.bpf.c
 * sees the additions.
 */
#include "engine.h"
#include "identify.h"
#include "kernel.h"
#include "ledger.h"
#include "names.h"
#include "owner.h"
#include "shmem.h"
#include "syscalls.h"

MT_INLINE void name_key(struct inode *host, struct mt_ledger_key *key, __u32 scratch_index)
{
	struct mt_file file = {.inode = key->inode,
			       .device = key->device,
			       .generation = key->generation};

	if (key->inode)
		name_file(host, &file, scratch_index);
}

MT_INLINE bool same_run(struct mt_slot *slot, struct folio *folio, struct address_space *mapping,
			struct inode *host, __u64 cause)
{
	return slot->mapping == (__u64)mapping && slot->memcg == folio_memcg_data(folio) &&
	       slot->cause == cause && slot->inode == KREAD(host, i_ino) &&
	       slot->generation == KREAD(host, i_generation);
}

MT_INLINE void start_run(struct mt_slot *slot, struct folio *folio, struct address_space *mapping,
			 struct inode *host, __u64 cause)
{
	slot->mapping = (__u64)mapping;
	slot->memcg = folio_memcg_data(folio);
	slot->cause = cause;
	slot->inode = KREAD(host, i_ino);
	slot->generation = KREAD(host, i_generation);
	slot->key.cgroup = owner_id(slot->memcg);
	slot->key.pad = 0;
}

MT_INLINE void start_add(struct mt_slot *slot, struct task_struct *task, long nr,
			 struct address_space *mapping, struct inode *host)
{
	bool metadata;

	slot->fate = identify_file(host, &slot->key, &metadata);
	slot->key.tgid = KREAD(task, tgid);
	slot->key.start = task_start(task);
	slot->key.kind = metadata ? MT_METADATA : add_kind(task, nr, mapping);
	note_syscall(&slot->value, task, nr);
	if (slot->fate != MT_SLOT_COUNTED)
		return;
	name_key(host, &slot->key, 0);
	name_task(task, slot->key.tgid, slot->key.start);
}

PROBE(mm_filemap_add_to_page_cache)
{
	struct task_struct *task = current_task();
	struct folio *folio = (struct folio *)ARG(ctx, 0);
	struct address_space *mapping = folio_mapping(folio);
	struct inode *host = KREAD(mapping, host);
	long nr = current_syscall(task);
	__u64 cause = ((__u64)(__u32)nr << 32) | (__u32)KREAD(task, pid);
	struct mt_slot *slot = enter_slot(MT_SLOT_ADD);

	if (!slot)
		return 0;
	if (!same_run(slot, folio, mapping, host, cause)) {
		flush_slot(slot, current_epoch());
		start_run(slot, folio, mapping, host, cause);
		start_add(slot, task, nr, mapping, host);
	}
	slot->pages += folio_pages(folio);
	leave_slot(slot);
	return 0;
}

MT_INLINE void start_delete(struct mt_slot *slot, struct task_struct *task, long nr,
			    struct inode *host, bool unlinked)
{
	bool metadata;

	slot->fate = identify_file(host, &slot->key, &metadata);
	slot->key.tgid = 0;
	slot->key.start = 0;
	slot->key.kind = MT_REMOVED + removal_reason(task, nr, unlinked);
	note_syscall(&slot->value, task, nr);
	if (slot->fate == MT_SLOT_COUNTED)
		name_key(host, &slot->key, 1);
}

MT_INLINE void shmem_gone(const struct mt_ledger_key *key, __u64 pages)
{
	struct mt_file file = {.inode = key->inode,
			       .device = key->device,
			       .generation = key->generation};

	tell_gone(&file, pages);
}

PROBE(mm_filemap_delete_from_page_cache)
{
	struct task_struct *task = current_task();
	struct folio *folio = (struct folio *)ARG(ctx, 0);
	struct address_space *mapping = folio_mapping(folio);
	struct inode *host = KREAD(mapping, host);
	bool unlinked = KREAD(host, i_nlink) == 0;
	long nr = current_syscall(task);
	__u64 cause = ((__u64)(__u32)nr << 32) | (KREAD(task, flags) & (PF_MEMALLOC | PF_KTHREAD)) |
		      unlinked;
	struct mt_slot *slot = enter_slot(MT_SLOT_DELETE);

	if (!slot)
		return 0;
	if (!same_run(slot, folio, mapping, host, cause)) {
		flush_slot(slot, current_epoch());
		start_run(slot, folio, mapping, host, cause);
		start_delete(slot, task, nr, host, unlinked);
	}
	slot->pages += folio_pages(folio);
	if (is_swapbacked(folio))
		shmem_gone(&slot->key, folio_pages(folio));
	leave_slot(slot);
	return 0;
}

/*
 * Run by the agent on each CPU in turn, after it has flipped the epoch: moves what
 * the CPU's slots hold into the ledger of the epoch before (ARG 0). Returns how
 * many slots were being written at that very moment and must be asked again.
 */
COMMAND(flush)
{
	__u32 epoch = ARG(ctx, 0) & 1;
	struct mt_slot *slot;
	__u32 busy = 0;
	__u32 index;

#pragma unroll
	for (index = 0; index < MT_SLOTS; index++) {
		__u32 at = index;

		slot = MAP_GET(slots, &at);
		if (!slot)
			continue;
		if (slot->busy)
			busy++;
		else
			flush_slot(slot, epoch);
	}
	return busy;
}

LICENSE("Dual BSD/GPL");
