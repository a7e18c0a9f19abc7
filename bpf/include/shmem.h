/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * shmem.h: the note that page_cache.bpf.c leaves for shmem.bpf.c. A deletion of a
 * shmem folio is traced (which file) just before its NR_SHMEM update (how much,
 * exact), with interrupts off in between: the note is the file.
 */
#ifndef MEMTRACE_SHMEM_H
#define MEMTRACE_SHMEM_H

#include "engine.h"
#include "wire.h"

struct mt_shmem_hint {
	__u64 inode;
	__u32 device;
	__u32 generation;
	__u32 reason_kind; /* MT_REMOVED + reason; 0: no note */
	__u32 pad;
};

MT_PERCPU(shmem_hint, struct mt_shmem_hint, 1);

MT_INLINE void leave_shmem_hint(const struct mt_ledger_key *key)
{
	__u32 zero = 0;
	struct mt_shmem_hint *hint = MAP_GET(shmem_hint, &zero);

	if (!hint)
		return;
	hint->inode = key->inode;
	hint->device = key->device;
	hint->generation = key->generation;
	hint->reason_kind = key->kind;
}

#endif
