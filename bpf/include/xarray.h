/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* xarray.h: the entries of a mapping's tree of folios, and the folio at one index. */
#ifndef MEMTRACE_XARRAY_H
#define MEMTRACE_XARRAY_H

#include "kernel.h"

#define MT_SLOTS_PER_NODE 64

MT_INLINE bool is_node(__u64 entry)
{
	return (entry & 3) == 2 && entry > 4096;
}

MT_INLINE bool is_folio(__u64 entry)
{
	return entry && (entry & 3) == 0;
}

#endif
