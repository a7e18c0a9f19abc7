// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * shmem.bpf.c: tmpfs and shared memory, whose additions no filemap event reports.
 *
 * A shmem folio is put on the LRU once, soon after it is added: by the task that added
 * it, or, because CPUs collect up to 31 folios first, by whoever empties that CPU's
 * batch. It is put there again whenever something took it off: memory that cannot be
 * paged out, compaction, DAMON. So an insertion says where to look, and the file's own
 * page count says how much is new (shmem.h). A folio deleted while it waits is never
 * told: the agent finds such pages by a walk (agent/memtrace/collect/shmem.py).
 * Following NR_SHMEM through tracepoint mod_memcg_lruvec_state needs no walk, but it
 * fires five times for every page of any file and doubles what memtrace costs.
 */
#include "engine.h"
#include "kernel.h"
#include "ledger.h"
#include "names.h"
#include "owner.h"
#include "shmem.h"
#include "syscalls.h"

/* The file's mapping, or NULL when the folio is not one of tmpfs or shared memory. */
MT_INLINE struct address_space *shmem_mapping(struct folio *folio)
{
	struct address_space *mapping;
	struct super_block *sb;
	struct inode *host;
	__u64 tagged;

	if (!is_swapbacked(folio))
		return 0;
	tagged = tagged_mapping(folio);
	if (!tagged || tagged & 3) /* anonymous */
		return 0;
	mapping = folio_mapping(folio);
	host = KREAD(mapping, host);
	sb = KREAD(host, i_sb);
	return KREAD(sb, s_magic) == TMPFS_MAGIC ? mapping : 0;
}

MT_INLINE void identify(struct inode *inode, struct mt_file *file)
{
	struct super_block *sb = KREAD(inode, i_sb);

	file->inode = KREAD(inode, i_ino);
	file->device = KREAD(sb, s_dev);
	file->generation = KREAD(inode, i_generation);
}

/* A kernel thread, another cgroup's task, one in execve, or at work on another file. */
MT_INLINE bool only_empties(struct task_struct *task, long nr, struct address_space *mapping,
			    __u64 cgroup)
{
	__u32 flags = KREAD(task, flags);
	__u32 kind;

	if (flags & PF_KTHREAD || task_memcg_id(task) != cgroup)
		return true;
	if (flags & PF_IO_WORKER)
		return false;
	kind = kind_of_syscall(is_ia32(task) ? from_ia32(nr) : nr);
	return kind == MT_EXEC || fault_inside_call(task, kind, mapping);
}

/* Whoever only empties the batch did not add: who did is unknown. */
MT_INLINE void blame(struct mt_slot *slot, struct task_struct *task, long nr,
		     struct address_space *mapping)
{
	slot->key.kind = MT_SHMEM;
	slot->key.pad = 0;
	slot->key.tgid = 0;
	slot->key.start = 0;
	slot->value.syscall = MT_NO_SYSCALL;
	slot->value.compat = 0;
	if (only_empties(task, nr, mapping, slot->key.cgroup))
		return;
	slot->key.tgid = KREAD(task, tgid);
	slot->key.start = task_start(task);
	note_syscall(&slot->value, task, nr);
	name_task(task, slot->key.tgid, slot->key.start);
}

PROBE(mm_lru_insertion)
{
	struct folio *folio = (struct folio *)ARG(ctx, 0);
	struct address_space *mapping;
	struct task_struct *task;
	struct mt_slot *slot;
	struct mt_file file;
	struct inode *host;
	__u64 cause, pages;
	long nr;

	mapping = shmem_mapping(folio);
	if (!mapping)
		return 0;
	host = KREAD(mapping, host);
	identify(host, &file);
	pages = tell_new(&file, mapping, folio_pages(folio));
	if (!pages)
		return 0;
	task = current_task();
	nr = current_syscall(task);
	cause = ((__u64)(__u32)nr << 32) | (__u32)KREAD(task, pid);
	slot = enter_slot(MT_SLOT_SHMEM_ADD);
	if (!slot)
		return 0;
	if (slot->mapping != (__u64)mapping || slot->memcg != folio_memcg_data(folio) ||
	    slot->cause != cause || slot->inode != file.inode ||
	    slot->generation != file.generation) {
		flush_slot(slot, current_epoch());
		slot->mapping = (__u64)mapping;
		slot->memcg = folio_memcg_data(folio);
		slot->cause = cause;
		slot->inode = file.inode;
		slot->generation = file.generation;
		slot->fate = MT_SLOT_COUNTED;
		slot->key.cgroup = owner_id(slot->memcg);
		slot->key.inode = file.inode;
		slot->key.device = file.device;
		slot->key.generation = file.generation;
		name_file(host, &file, 0);
		blame(slot, task, nr, mapping);
	}
	slot->pages += pages;
	leave_slot(slot);
	return 0;
}

LICENSE("Dual BSD/GPL");
