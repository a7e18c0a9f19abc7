// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (bpf_loop callbacks)
/*
 * census.bpf.c: who holds which kernel memory now. Walks the array of struct page, a part
 * of it each run, and adds up the objects of every slab by cache and by the memory cgroup
 * that pays for them; likewise the pages the kernel charges whole.
 *
 * Without a lock, by probe_read: a slab freed under the walk is counted or not. A run ends
 * when its time is over and says where to go on, so that no CPU is held for long. Callback
 * state lives in a map, see baseline.bpf.c.
 */
#include "engine.h"
#include "kernel.h"
#include "maps.h"
#include "slab.h"

#define MT_LOOPS (8 * 1024 * 1024) /* BPF_MAX_LOOPS */
#define MT_BATCH 64		   /* struct pages read at once */
#define MT_PAGE_STRUCT 64	   /* bytes of each; the agent checks that it is so */
#define MT_SECTION 32768	   /* pages; a section has all its struct pages or none */
#define MT_NOTHING (~0ULL)
#define MT_LARGEST_FREE 10 /* order of the largest free block */
#define MT_PAGE_BYTES 4096
#define MT_MOST_OBJECTS 32767

struct mt_census_state {
	struct mt_census answer;
	__u64 deadline;
	__u64 loaded; /* number of the first page in `pages` */
	__u64 objcg;  /* the owner met last, and its cgroup */
	__u64 cgroup;
	__u64 owners; /* of the slab being visited: where, how far apart, and what they hold */
	__u64 cache;
	__u32 stride;
	__u32 size;
	__u32 charged; /* objects of this slab that somebody pays for */
	__u32 late;
	struct mt_holding_key key; /* what is being added up */
	struct mt_holding run;
	__u8 pages[MT_BATCH * MT_PAGE_STRUCT];
};

MT_ARRAY(census_state, struct mt_census_state, 1);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct mt_holding_key);
	__type(value, struct mt_holding);
} holdings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct mt_cache);
} slab_caches SEC(".maps");

static __always_inline struct mt_census_state *state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&census_state, &zero);
}

/* What was added up for one cgroup and cache goes to its row. */
static __always_inline void settle(struct mt_census_state *s)
{
	struct mt_holding_key key = s->key;
	struct mt_holding run = s->run;
	struct mt_holding *row;

	if (!run.objects)
		return;
	row = bpf_map_lookup_elem(&holdings, &key);
	if (row) {
		row->objects += run.objects;
		row->bytes += run.bytes;
	} else if (bpf_map_update_elem(&holdings, &key, &run, BPF_ANY)) {
		s->answer.full += run.bytes;
	}
	s->run.objects = 0;
	s->run.bytes = 0;
}

static __always_inline void hold(struct mt_census_state *s, __u64 cgroup, __u64 cache,
				 __u64 objects, __u64 bytes)
{
	if (s->key.cgroup != cgroup || s->key.cache != cache) {
		settle(s);
		s->key.cgroup = cgroup;
		s->key.cache = cache;
	}
	s->run.objects += objects;
	s->run.bytes += bytes;
}

/* The cgroup of an owner, 0 when it cannot be told: it was freed meanwhile. */
static __always_inline __u64 owner_cgroup(struct mt_census_state *s, __u64 objcg)
{
	struct mem_cgroup *memcg;

	if (objcg != s->objcg) {
		memcg = BPF_CORE_READ((struct obj_cgroup *)objcg, memcg);
		s->objcg = objcg;
		s->cgroup = memcg ? memcg_id(memcg) : 0;
	}
	return s->cgroup;
}

/* One object a step. */
static int visit_object(__u32 step, void *MT_UNUSED(context))
{
	struct mt_census_state *s = state();
	__u64 objcg = 0, cgroup;

	if (!s)
		return 1;
	if (bpf_probe_read_kernel(&objcg, sizeof(objcg),
				  (void *)(s->owners + (__u64)step * s->stride)))
		return 1;
	if (!IS_KERNEL_ADDRESS(objcg))
		return 0;
	cgroup = owner_cgroup(s, objcg);
	if (!cgroup)
		return 0;
	hold(s, cgroup, s->cache, 1, s->size + OBJECT_OWNER_BYTES);
	s->charged++;
	return 0;
}

/* The pages of a slab: the smallest block its objects fit into. */
static __always_inline __u32 slab_pages(__u32 objects, __u32 size)
{
	__u32 pages = ((__u64)objects * size + MT_PAGE_BYTES - 1) / MT_PAGE_BYTES;
	int order;

	for (order = 0; order <= MT_LARGEST_FREE; order++)
		if (pages <= 1U << order)
			return 1U << order;
	return pages;
}

static __always_inline struct mt_cache *known_cache(__u64 address, __u32 size)
{
	struct kmem_cache *cache = (struct kmem_cache *)address;
	struct mt_cache *known = bpf_map_lookup_elem(&slab_caches, &address);
	struct mt_cache fresh = {0};

	if (known)
		return known;
	fresh.size = size;
	fresh.reclaimable = is_reclaimable(cache);
	bpf_probe_read_kernel_str(fresh.name, sizeof(fresh.name), BPF_CORE_READ(cache, name));
	bpf_map_update_elem(&slab_caches, &address, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&slab_caches, &address);
}

static __always_inline void visit_slab(struct mt_census_state *s, struct slab *slab)
{
	__u64 address = (__u64)BPF_CORE_READ(slab, slab_cache);
	__u32 objects = BPF_CORE_READ_BITFIELD_PROBED(slab, objects);
	__u32 inuse = BPF_CORE_READ_BITFIELD_PROBED(slab, inuse);
	__u32 size = BPF_CORE_READ((struct kmem_cache *)address, size);
	struct mt_cache *cache;

	if (!IS_KERNEL_ADDRESS(address) || !size || !objects || inuse > objects) {
		s->answer.odd++;
		return;
	}
	cache = known_cache(address, size);
	if (!cache)
		return;
	cache->pages += slab_pages(objects, size);
	s->answer.slab_pages += slab_pages(objects, size);
	s->cache = address;
	s->size = size;
	s->owners = slab_owners(slab);
	s->stride = owner_stride(slab, size);
	s->charged = 0;
	if (s->owners)
		bpf_loop(objects & MT_MOST_OBJECTS, visit_object, NULL, 0);
	if (inuse > s->charged)
		hold(s, 0, address, inuse - s->charged, (__u64)(inuse - s->charged) * size);
	s->late = bpf_ktime_get_ns() > s->deadline;
}

static __always_inline __u64 pages_of(struct folio *folio, __u64 flags)
{
	__u64 pages = 1;

	if (!(flags & 1ULL << bpf_core_enum_value(enum pageflags, PG_head)))
		return 1;
	if (bpf_core_field_exists(folio->_nr_pages))
		pages = BPF_CORE_READ(folio, _nr_pages);
	else
		pages = BPF_CORE_READ((struct folio___v6_1 *)folio, _folio_nr_pages);
	return pages;
}

/* A page, or a block of pages, that is no slab. */
static __always_inline void visit_other(struct mt_census_state *s, struct folio *folio, __u64 flags,
					__u32 type, __u64 memcg_data)
{
	bool large = is_large_kmalloc(type);
	__u64 cache = MT_OTHER_PAGES;
	__u64 cgroup = 0;
	__u64 pages;

	if (memcg_data & MEMCG_DATA_KMEM)
		cgroup = owner_cgroup(s, memcg_data & ~MEMCG_DATA_FLAGS);
	if (!cgroup && !large)
		return;
	pages = pages_of(folio, flags);
	if (large) {
		cache = MT_LARGE_KMALLOC;
		s->answer.slab_pages += pages;
	} else if (is_page_table(type)) {
		cache = MT_PAGE_TABLES;
	}
	hold(s, cgroup, cache, 1, pages * MT_PAGE_BYTES);
}

static __always_inline __u64 word(struct mt_census_state *s, __u64 at, __u32 offset)
{
	return *(__u64 *)(s->pages +
			  ((at * MT_PAGE_STRUCT + offset) & (MT_BATCH * MT_PAGE_STRUCT - 1) & ~7U));
}

/* One struct page a step, or a whole free block. */
static __always_inline void visit_page(struct mt_census_state *s, __u64 at)
{
	__u64 page = s->answer.vmemmap + s->answer.page * MT_PAGE_STRUCT;
	__u32 type_at = bpf_core_field_offset(struct page, page_type);
	__u64 flags = word(s, at, 0);
	__u32 type = word(s, at, type_at) >> (type_at & 4 ? 32 : 0);
	__u64 order;

	s->answer.page++;
	if (word(s, at, 8) & 1) /* the tail of a block; in a slab's head this is an address */
		return;
	if (is_slab(flags, type)) {
		visit_slab(s, (struct slab *)page);
	} else if (is_free_block(type)) {
		order = word(s, at, bpf_core_field_offset(struct page, private));
		if (order <= MT_LARGEST_FREE)
			s->answer.page += (1ULL << order) - 1;
	} else {
		visit_other(s, (struct folio *)page, flags, type,
			    word(s, at, bpf_core_field_offset(struct folio, memcg_data)));
	}
}

/* Reads the struct pages around the one to visit next; false where there are none. */
static __always_inline bool load_batch(struct mt_census_state *s, __u64 first)
{
	s->late = s->late || (s->loaded != MT_NOTHING && bpf_ktime_get_ns() > s->deadline);
	s->loaded = first;
	if (!bpf_probe_read_kernel(s->pages, sizeof(s->pages),
				   (void *)(s->answer.vmemmap + first * MT_PAGE_STRUCT)))
		return true;
	s->answer.page = (s->answer.page | (MT_SECTION - 1)) + 1;
	s->answer.holes++;
	return false;
}

static int visit_next(__u32 MT_UNUSED(step), void *MT_UNUSED(context))
{
	struct mt_census_state *s = state();
	__u64 first;

	if (!s || s->late || s->answer.page >= s->answer.end)
		return 1;
	first = s->answer.page & ~(MT_BATCH - 1ULL);
	if (s->loaded == first || load_batch(s, first))
		visit_page(s, s->answer.page & (MT_BATCH - 1));
	return 0;
}

/* Walks on from `page` towards `end` until the time is over. */
SEC("syscall")
int count_kernel_memory(struct mt_census *request)
{
	struct mt_census_state *s = state();

	if (!s)
		return 1;
	__builtin_memset(&s->answer, 0, sizeof(s->answer));
	s->answer.vmemmap = request->vmemmap;
	s->answer.page = request->page;
	s->answer.end = request->end;
	s->deadline = bpf_ktime_get_ns() + request->nanoseconds;
	s->loaded = MT_NOTHING;
	s->objcg = 0;
	s->late = 0;
	bpf_loop(MT_LOOPS, visit_next, NULL, 0);
	settle(s);
	request->page = s->answer.page;
	request->slab_pages = s->answer.slab_pages;
	request->full = s->answer.full;
	request->odd = s->answer.odd;
	request->holes = s->answer.holes;
	return 0;
}

/* The struct page of the only page of an open file: with its number, the way to all others. */
SEC("syscall")
int find_page(struct mt_find_page *request)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = current_file(task, request->fd);
	struct address_space *mapping;
	__u64 entry;

	request->address = 0;
	request->page_types = HAS_PAGE_TYPES;
	request->struct_bytes = bpf_core_type_size(struct page);
	if (!file)
		return 1;
	mapping = file_mapping(file);
	entry = (__u64)BPF_CORE_READ(mapping, i_pages.xa_head);
	if (IS_KERNEL_ADDRESS(entry) && (entry & 3) == 0)
		request->address = entry;
	return 0;
}

LICENSE("Dual BSD/GPL");
