/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* identify.h: which file an inode of a page-cache event is, as the ledger's rows name it. */
#ifndef MEMTRACE_IDENTIFY_H
#define MEMTRACE_IDENTIFY_H

#include "device.h"
#include "ledger.h"

/* Fills key's file part and says what becomes of the inode's pages. */
MT_INLINE __u32 identify_file(struct inode *host, struct mt_ledger_key *key, bool *metadata)
{
	struct super_block *sb = KREAD(host, i_sb);
	__u64 magic = KREAD(sb, s_magic);

	*metadata = (KREAD(host, i_mode) & S_IFMT) != S_IFREG;
	if (magic == BDEVFS_MAGIC) {
		key->device = KREAD(host, i_rdev);
		key->inode = 0;
		key->generation = 0;
		return MT_SLOT_COUNTED;
	}
	key->device = subvolume_device(host, magic);
	if (!key->device)
		key->device = KREAD(sb, s_dev);
	key->inode = KREAD(host, i_ino);
	key->generation = KREAD(host, i_generation);
	if (magic == HUGETLBFS_MAGIC)
		return MT_SLOT_HUGETLB;
	return MT_SLOT_COUNTED;
}

#endif
