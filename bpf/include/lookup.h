/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lookup.h: which folio a mapping has at one index, found without a lock: what is read
 * may be gone in the next moment, but never faults.
 */
#ifndef MEMTRACE_LOOKUP_H
#define MEMTRACE_LOOKUP_H

#include "owner.h"
#include "xarray.h"

#define MT_LOOKUP_LEVELS 6 /* of 64 slots each: 2^36 pages */

/* The slot of a node; a large folio fills several, of which all but the first lead to that. */
MT_INLINE __u64 slot_of(struct xa_node *node, __u64 at)
{
	__u64 entry = 0, first = 0;

	bpf_probe_read_kernel(&entry, sizeof(entry), &node->slots[at & (MT_SLOTS_PER_NODE - 1)]);
	if ((entry & 3) != 2 || is_node(entry))
		return entry;
	bpf_probe_read_kernel(&first, sizeof(first),
			      &node->slots[(entry >> 2) & (MT_SLOTS_PER_NODE - 1)]);
	return first;
}

/* 0 where no page is cached. */
MT_INLINE struct folio *folio_at(struct address_space *mapping, __u64 index)
{
	__u64 entry = (__u64)SREAD(mapping, i_pages.xa_head);
	struct xa_node *node;
	__u64 at;
	int level;

	if (!is_node(entry) && index)
		return 0;
#pragma unroll
	for (level = 0; level < MT_LOOKUP_LEVELS; level++) {
		if (!is_node(entry))
			break;
		node = (struct xa_node *)(entry & ~3ULL);
		at = index >> SREAD(node, shift);
		if (level == 0 && at >= MT_SLOTS_PER_NODE)
			return 0;
		entry = slot_of(node, at);
	}
	return is_folio(entry) ? (struct folio *)entry : 0;
}

/* memcg_data of the page at `index`; 0: nobody pays, or no such page. */
MT_INLINE __u64 memcg_at(struct address_space *mapping, __u64 index)
{
	struct folio *folio = folio_at(mapping, index);

	if (!folio || SREAD(folio, mapping) != mapping)
		return 0;
	return SREAD(folio, memcg_data);
}

#endif
