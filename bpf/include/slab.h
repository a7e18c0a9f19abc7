/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * slab.h: what slab memory looks like on each kernel: which page is a slab's, where its
 * objects' owners are, what a cache is. Reads by probe_read only; counts nothing.
 * libbpf only (CO-RE's questions about fields, types and enumerators).
 */
#ifndef MEMTRACE_SLAB_H
#define MEMTRACE_SLAB_H

#include "engine.h"
#include "kernel.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct page {
	unsigned int page_type;
	unsigned long private;
};

struct slab {
	struct kmem_cache *slab_cache;
	unsigned int inuse : 16;
	unsigned int objects : 15;
	unsigned long obj_exts;
};

/* Before Linux 6.10 ("mm: introduce slabobj_ext to support slab object extensions") */
struct slab___v6_1 {
	unsigned long memcg_data;
};

/* Linux 7.0 to 7.2 ("mm/slab: use stride to access slabobj_ext") */
struct slab___v7_0 {
	unsigned int stride;
};

/* Since Linux 7.3: the extension is in the object itself, or has no owner in it */
struct slab___v7_3 {
	unsigned int obj_exts_in_object : 1;
	unsigned int obj_exts_needs_objcg : 1;
};

struct slabobj_ext {
	struct obj_cgroup *objcg;
};

/* Since Linux 7.3: one or two elements an object, the owner first */
struct slabobj_ext___v7_3 {
	void *_ctref;
};

#pragma clang attribute pop

/* Linux 6.12 ("mm: support only one page_type per page") */
enum pagetype {
	PGTY_buddy,
	PGTY_table,
	PGTY_slab,
};

/* Linux 6.14 ("mm: page_type for large kmalloc") */
enum pagetype___v6_14 {
	PGTY_large_kmalloc,
};

enum pageflags___v6_1 {
	PG_slab,
};

#define SLAB_RECLAIM_ACCOUNT_V6_1 0x00020000U /* a bit's number in an enum since Linux 6.9 */

/* The owner's pointer that each charged object costs besides its own size (obj_full_size). */
#define OBJECT_OWNER_BYTES 8

#define IS_KERNEL_ADDRESS(address) ((address) >> 56 == 0xff)

#define HAS_PAGE_TYPES bpf_core_enum_value_exists(enum pagetype, PGTY_slab)

MT_INLINE bool is_type(__u32 page_type, __u64 type)
{
	return page_type >> 24 == type;
}

MT_INLINE bool is_slab(__u64 flags, __u32 page_type)
{
	if (HAS_PAGE_TYPES)
		return is_type(page_type, bpf_core_enum_value(enum pagetype, PGTY_slab));
	if (bpf_core_enum_value_exists(enum pageflags___v6_1, PG_slab))
		return flags >> bpf_core_enum_value(enum pageflags___v6_1, PG_slab) & 1;
	return false;
}

/* A page of a kmalloc too large for a slab; unknown before Linux 6.14. */
MT_INLINE bool is_large_kmalloc(__u32 page_type)
{
	if (!bpf_core_enum_value_exists(enum pagetype___v6_14, PGTY_large_kmalloc))
		return false;
	return is_type(page_type, bpf_core_enum_value(enum pagetype___v6_14, PGTY_large_kmalloc));
}

/* A page of page tables; unknown before Linux 6.12. */
MT_INLINE bool is_page_table(__u32 page_type)
{
	if (!HAS_PAGE_TYPES)
		return false;
	return is_type(page_type, bpf_core_enum_value(enum pagetype, PGTY_table));
}

/* The first page of a free block. */
MT_INLINE bool is_free_block(__u32 page_type)
{
	if (!HAS_PAGE_TYPES)
		return false;
	return is_type(page_type, bpf_core_enum_value(enum pagetype, PGTY_buddy));
}

MT_INLINE bool is_reclaimable(struct kmem_cache *cache)
{
	__u32 mask = SLAB_RECLAIM_ACCOUNT_V6_1;

	if (bpf_core_enum_value_exists(enum _slab_flag_bits, _SLAB_RECLAIM_ACCOUNT))
		mask = 1U << bpf_core_enum_value(enum _slab_flag_bits, _SLAB_RECLAIM_ACCOUNT);
	return BPF_CORE_READ(cache, flags) & mask;
}

/* Where the owners of the slab's objects are, 0 when none of them has one. */
MT_INLINE __u64 slab_owners(struct slab *slab)
{
	struct slab___v6_1 *old = (void *)slab;
	struct slab___v7_3 *new = (void *)slab;
	__u64 vector;

	if (bpf_core_field_exists(new->obj_exts_needs_objcg) &&
	    !BPF_CORE_READ_BITFIELD_PROBED(new, obj_exts_needs_objcg))
		return 0;
	if (!bpf_core_field_exists(slab->obj_exts))
		return BPF_CORE_READ(old, memcg_data) & ~MEMCG_DATA_FLAGS;
	vector = BPF_CORE_READ(slab, obj_exts) & ~MEMCG_DATA_FLAGS;
	if (vector && bpf_core_field_exists(((struct slabobj_ext *)0)->objcg))
		vector += bpf_core_field_offset(((struct slabobj_ext *)0)->objcg);
	return vector;
}

/* Bytes from one object's owner to the next one's. */
MT_INLINE __u32 owner_stride(struct slab *slab, __u32 object_size)
{
	struct slab___v7_0 *strided = (void *)slab;
	struct slab___v7_3 *new = (void *)slab;
	__u32 elements = 1;

	if (bpf_core_field_exists(strided->stride))
		return BPF_CORE_READ(strided, stride);
	if (bpf_core_field_exists(new->obj_exts_in_object)) {
		if (BPF_CORE_READ_BITFIELD_PROBED(new, obj_exts_in_object))
			return object_size;
		if (bpf_core_field_exists(((struct slabobj_ext___v7_3 *)0)->_ctref))
			elements = 2;
	}
	if (bpf_core_type_exists(struct slabobj_ext))
		return elements * bpf_core_type_size(struct slabobj_ext);
	return sizeof(void *);
}

#endif
