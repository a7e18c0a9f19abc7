// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * shmem.bpf.c: tmpfs and shared memory, whose adds no filemap event reports.
 *
 * Where the kernel has tracepoint mod_memcg_lruvec_state (Linux 6.15 on), the
 * NR_SHMEM counter itself is followed: exact. Elsewhere insertions of shmem folios
 * into the LRU stand in, which count a re-insertion twice: the agent then takes
 * the sum from memory.stat and says so. The plan loads one of the two.
 *
 * Which file: the descriptor of the call for writes; unknown (inode 0) for page
 * faults, because no event of theirs names the folio.
 */
#include "engine.h"
#include "kernel.h"
#include "ledger.h"
#include "names.h"
#include "shmem.h"
#include "syscalls.h"

CONFIG_U32(nr_shmem); /* enum node_stat_item NR_SHMEM on this kernel */

#define NO_FILE_RUN 1 /* a run without a file still needs a non-zero mapping */

MT_INLINE bool on_tmpfs(struct file *file)
{
	return file_magic(file) == TMPFS_MAGIC;
}

/* The tmpfs file behind an open file, seen through overlayfs, or NULL. */
MT_INLINE struct file *tmpfs_file(struct file *file)
{
	struct file *real;

	if (on_tmpfs(file))
		return file;
	if (file_magic(file) != OVERLAYFS_MAGIC)
		return 0;
	real = overlay_real_file(file, 2);
	if (on_tmpfs(real))
		return real;
	real = overlay_real_file(file, 1);
	if (on_tmpfs(real))
		return real;
	real = overlay_real_file(file, 0);
	return on_tmpfs(real) ? real : 0;
}

/* The inode the current call puts pages into, or NULL when only a fault could say. */
MT_INLINE struct inode *destination(struct task_struct *task, long nr)
{
	struct file *file = 0;

	if (KREAD(task, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return 0;
	switch (kind_of_syscall(is_ia32(task) ? from_ia32(nr) : nr)) {
	case MT_READ:
	case MT_WRITE:
	case MT_SENDFILE:
	case MT_FALLOCATE: file = current_file(task, current_syscall_arg0(task)); break;
	case MT_COPY_FILE_RANGE:
	case MT_SPLICE: file = current_file(task, current_syscall_arg2(task)); break;
	}
	if (file)
		file = tmpfs_file(file);
	return file ? SREAD(file, f_inode) : 0;
}

MT_INLINE void identify(struct inode *inode, struct mt_ledger_key *key)
{
	struct super_block *sb = SREAD(inode, i_sb);

	key->device = SREAD(sb, s_dev);
	key->inode = SREAD(inode, i_ino);
	key->generation = SREAD(inode, i_generation);
}

MT_INLINE void name_inode(struct inode *inode, const struct mt_ledger_key *key)
{
	struct mt_file file = {.inode = key->inode,
			       .device = key->device,
			       .generation = key->generation};

	name_file(inode, &file, 0);
}

MT_INLINE void blame(struct mt_slot *slot, struct task_struct *task, long nr)
{
	slot->fate = MT_SLOT_COUNTED;
	slot->key.pad = 0;
	slot->key.tgid = KREAD(task, tgid);
	slot->key.start = task_start(task);
	slot->key.kind = MT_SHMEM;
	note_syscall(&slot->value, task, nr);
	name_task(task, slot->key.tgid, slot->key.start);
}

MT_INLINE void shmem_added(struct mem_cgroup *memcg, __u64 pages)
{
	struct task_struct *task = bpf_get_current_task_btf();
	long nr = current_syscall(task);
	__u64 cause = ((__u64)(__u32)nr << 32) | (__u32)KREAD(task, pid);
	struct inode *inode = destination(task, nr);
	struct mt_ledger_key file = {};
	struct mt_slot *slot = enter_slot(MT_SLOT_SHMEM_ADD);

	if (!slot)
		return;
	if (inode)
		identify(inode, &file);
	if (slot->mapping != NO_FILE_RUN || slot->memcg != (__u64)memcg || slot->cause != cause ||
	    slot->inode != file.inode || slot->generation != file.generation) {
		flush_slot(slot, current_epoch());
		slot->mapping = NO_FILE_RUN;
		slot->memcg = (__u64)memcg;
		slot->cause = cause;
		slot->inode = file.inode;
		slot->generation = file.generation;
		slot->key = file;
		slot->key.cgroup = memcg_id(memcg);
		blame(slot, task, nr);
		if (inode)
			name_inode(inode, &slot->key);
	}
	slot->pages += pages;
	leave_slot(slot);
}

MT_INLINE void shmem_removed(struct mem_cgroup *memcg, __u64 pages)
{
	struct mt_slot *slot = enter_slot(MT_SLOT_SHMEM_DELETE);
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 zero = 0;
	struct mt_shmem_hint *hint = MAP_GET(shmem_hint, &zero);
	__u32 kind;

	if (!slot)
		return;
	if (!hint) {
		leave_slot(slot);
		return;
	}
	kind = hint->reason_kind;
	if (!kind) { /* swapped out, migrated: not told by a deletion */
		kind = MT_REMOVED +
		       (KREAD(task, flags) & PF_MEMALLOC ? MT_RECLAIM : MT_REASON_OTHER);
		hint->inode = 0;
		hint->device = 0;
		hint->generation = 0;
	}
	hint->reason_kind = 0;
	if (slot->mapping != NO_FILE_RUN || slot->memcg != (__u64)memcg || slot->cause != kind ||
	    slot->inode != hint->inode || slot->generation != hint->generation) {
		flush_slot(slot, current_epoch());
		slot->mapping = NO_FILE_RUN;
		slot->memcg = (__u64)memcg;
		slot->cause = kind;
		slot->inode = hint->inode;
		slot->generation = hint->generation;
		slot->fate = MT_SLOT_COUNTED;
		slot->key.cgroup = memcg_id(memcg);
		slot->key.inode = hint->inode;
		slot->key.device = hint->device;
		slot->key.generation = hint->generation;
		slot->key.tgid = 0;
		slot->key.start = 0;
		slot->key.kind = kind;
		slot->key.pad = 0;
	}
	slot->pages += pages;
	leave_slot(slot);
}

PROBE(mod_memcg_lruvec_state)
{
	int change = (int)ARG(ctx, 2);
	struct mem_cgroup *memcg;

	if ((__u32)ARG(ctx, 1) != CFG(nr_shmem))
		return 0;
	memcg = (struct mem_cgroup *)ARG(ctx, 0);
	if (change > 0)
		shmem_added(memcg, change);
	else
		shmem_removed(memcg, -change);
	return 0;
}

PROBE(mm_lru_insertion)
{
	struct folio *folio = (struct folio *)ARG(ctx, 0);
	struct task_struct *task;
	struct address_space *mapping;
	struct super_block *sb;
	struct mt_slot *slot;
	struct inode *host;
	__u64 cause;
	long nr;

	if (!(folio_flags(folio) & (1ULL << KENUM(pageflags, PG_swapbacked))))
		return 0;
	mapping = SREAD(folio, mapping);    /* a tagged pointer: not one to follow directly */
	if (!mapping || (__u64)mapping & 3) /* anonymous */
		return 0;
	host = SREAD(mapping, host);
	sb = SREAD(host, i_sb);
	if (SREAD(sb, s_magic) != TMPFS_MAGIC)
		return 0;
	task = bpf_get_current_task_btf();
	nr = current_syscall(task);
	cause = ((__u64)(__u32)nr << 32) | (__u32)KREAD(task, pid);
	slot = enter_slot(MT_SLOT_SHMEM_ADD);
	if (!slot)
		return 0;
	if (slot->mapping != (__u64)mapping || slot->memcg != KREAD(folio, memcg_data) ||
	    slot->cause != cause || slot->inode != SREAD(host, i_ino)) {
		flush_slot(slot, current_epoch());
		slot->mapping = (__u64)mapping;
		slot->memcg = KREAD(folio, memcg_data);
		slot->cause = cause;
		slot->inode = SREAD(host, i_ino);
		identify(host, &slot->key);
		slot->key.cgroup = owner_id(slot->memcg);
		blame(slot, task, nr);
		name_inode(host, &slot->key);
	}
	slot->pages += folio_pages(folio);
	leave_slot(slot);
	return 0;
}

LICENSE("Dual BSD/GPL");
