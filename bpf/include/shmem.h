/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * shmem.h: how many of a tmpfs file's pages the ledger has been told of, so that a
 * folio that is put on the LRU again is told from one that is new.
 *
 * The kernel's own count of the file's pages is the truth; what exceeds the told is new.
 * An addition raises what is told, a deletion lowers it, the walk sets it. A file
 * without an entry has 0 told.
 */
#ifndef MEMTRACE_SHMEM_H
#define MEMTRACE_SHMEM_H

#include "kernel.h"
#include "maps.h"

MT_LRU(shmem_told, struct mt_file, __s64, 16384);

/* Of all files' folios only those of tmpfs and shared memory have swap behind them. */
MT_INLINE bool is_swapbacked(struct folio *folio)
{
	return folio_flags(folio) & (1ULL << KENUM(pageflags, PG_swapbacked));
}

/*
 * How many of `pages` being put on the LRU are new to the file; they are told from now on.
 * Swapped-out pages are the file's, too: going to swap and back is no addition.
 */
MT_INLINE __u64 tell_new(const struct mt_file *file, struct address_space *mapping, __u64 pages)
{
	__s64 *told = MAP_GET(shmem_told, file);
	__s64 none = 0, untold;

	if (!told) {
		MAP_ADD(shmem_told, file, &none);
		told = MAP_GET(shmem_told, file);
	}
	if (!told)
		return pages;
	untold = KREAD(mapping, nrpages) - *told;
	if (untold < (__s64)pages) {
		untold += swapped_pages(KREAD(mapping, host));
		if (untold <= 0)
			return 0;
		if (untold < (__s64)pages)
			pages = untold;
	}
	__sync_fetch_and_add(told, pages);
	return pages;
}

MT_INLINE void tell_gone(const struct mt_file *file, __u64 pages)
{
	__s64 *told = MAP_GET(shmem_told, file);

	if (!told)
		return;
	__sync_fetch_and_add(told, -pages);
	if (*(volatile __s64 *)told == 0)
		MAP_DELETE(shmem_told, file);
}

/* The agent books what the walk found: all of it is told. */
MT_INLINE void tell_all(const struct mt_file *file, struct inode *host)
{
	struct address_space *mapping = SREAD(host, i_mapping);
	__s64 told = SREAD(mapping, nrpages) + swapped_pages(host);

	if (told)
		MAP_SET(shmem_told, file, &told);
	else
		MAP_DELETE(shmem_told, file);
}

#endif
