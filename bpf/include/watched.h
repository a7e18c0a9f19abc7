/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* watched.h: for programs that are attached on demand: whose pages are looked at. */
#ifndef MEMTRACE_WATCHED_H
#define MEMTRACE_WATCHED_H

#include "engine.h"

/* Whose pages are looked at, by cgroup id; the entry 0 stands for every cgroup. */
MT_HASH(watched, __u64, __u32, 16384);
MT_ARRAY(unkept, __u64, 1); /* pages that found no room in the program's table */

MT_INLINE bool is_watched(__u64 cgroup)
{
	__u64 all = 0;

	return MAP_GET(watched, &all) || MAP_GET(watched, &cgroup);
}

MT_INLINE void count_unkept(__u64 pages)
{
	__u32 zero = 0;
	__u64 *lost = MAP_GET(unkept, &zero);

	if (lost)
		__sync_fetch_and_add(lost, pages);
}

#endif
