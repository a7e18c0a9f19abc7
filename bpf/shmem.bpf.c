// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * shmem.bpf.c: tmpfs and shared memory, whose additions no filemap event reports.
 *
 * A shmem folio is put on the LRU once, soon after it is added: by the task that added
 * it, or, because CPUs collect up to 31 folios first, by whoever empties that CPU's
 * batch. So the file and the cgroup are right, the amount lags a little and counts a
 * folio again that was taken off the LRU and put back: the agent compares with a walk
 * of tmpfs and corrects (agent/memtrace/collect/shmem.py). Following the kernel's own
 * counter through tracepoint mod_memcg_lruvec_state is exact at once, but it fires five
 * times for every page of any file and doubles what memtrace costs.
 */
#include "engine.h"
#include "kernel.h"
#include "ledger.h"
#include "names.h"
#include "syscalls.h"

MT_INLINE bool is_shmem(struct folio *folio, struct inode **host)
{
	struct address_space *mapping;
	struct super_block *sb;

	if (!(folio_flags(folio) & (1ULL << KENUM(pageflags, PG_swapbacked))))
		return false;
	mapping = SREAD(folio, mapping);    /* a tagged pointer: not one to follow directly */
	if (!mapping || (__u64)mapping & 3) /* anonymous */
		return false;
	*host = SREAD(mapping, host);
	sb = SREAD(*host, i_sb);
	return SREAD(sb, s_magic) == TMPFS_MAGIC;
}

MT_INLINE void identify(struct inode *inode, struct mt_ledger_key *key)
{
	struct super_block *sb = SREAD(inode, i_sb);
	struct mt_file file;

	key->device = SREAD(sb, s_dev);
	key->inode = SREAD(inode, i_ino);
	key->generation = SREAD(inode, i_generation);
	file.inode = key->inode;
	file.device = key->device;
	file.generation = key->generation;
	name_file(inode, &file, 0);
}

/* Another cgroup's task, or a kernel thread, only emptied the batch: who added is unknown. */
MT_INLINE void blame(struct mt_slot *slot, struct task_struct *task, long nr)
{
	slot->key.kind = MT_SHMEM;
	slot->key.pad = 0;
	slot->key.tgid = 0;
	slot->key.start = 0;
	slot->value.syscall = MT_NO_SYSCALL;
	slot->value.compat = 0;
	if (KREAD(task, flags) & PF_KTHREAD || task_memcg_id(task) != slot->key.cgroup)
		return;
	slot->key.tgid = KREAD(task, tgid);
	slot->key.start = task_start(task);
	note_syscall(&slot->value, task, nr);
	name_task(task, slot->key.tgid, slot->key.start);
}

PROBE(mm_lru_insertion)
{
	struct folio *folio = (struct folio *)ARG(ctx, 0);
	struct task_struct *task;
	struct mt_slot *slot;
	struct inode *host;
	__u64 cause;
	long nr;

	if (!is_shmem(folio, &host))
		return 0;
	task = bpf_get_current_task_btf();
	nr = current_syscall(task);
	cause = ((__u64)(__u32)nr << 32) | (__u32)KREAD(task, pid);
	slot = enter_slot(MT_SLOT_SHMEM_ADD);
	if (!slot)
		return 0;
	if (slot->mapping != (__u64)host || slot->memcg != KREAD(folio, memcg_data) ||
	    slot->cause != cause || slot->inode != SREAD(host, i_ino) ||
	    slot->generation != SREAD(host, i_generation)) {
		flush_slot(slot, current_epoch());
		slot->mapping = (__u64)host;
		slot->memcg = KREAD(folio, memcg_data);
		slot->cause = cause;
		slot->inode = SREAD(host, i_ino);
		slot->generation = SREAD(host, i_generation);
		slot->fate = MT_SLOT_COUNTED;
		slot->key.cgroup = owner_id(slot->memcg);
		identify(host, &slot->key);
		blame(slot, task, nr);
	}
	slot->pages += folio_pages(folio);
	leave_slot(slot);
	return 0;
}

LICENSE("Dual BSD/GPL");
