// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (struct kmem_cache is in no installed kernel header)
/*
 * slab.bpf.c: who has reclaimable kernel objects (dentries, inodes, ...) allocated, and in
 * which system call. Attached only while the slab of some cgroup grows, or on request.
 * Frees are not followed: whoever frees an object is seldom who caused it. Bulk
 * allocations and kmalloc fire other events.
 */
#include "engine.h"
#include "kernel.h"
#include "names.h"
#include "slab_caches.h"
#include "syscalls.h"

MT_HASH(slab_allocated, struct mt_slab_key, __u64, MT_SLAB_ROWS);
MT_HASH(slab_caches, __u64, struct mt_slab_cache, 512);

/* The call current is in; what a kernel thread's stack holds means nothing. */
MT_INLINE void note_call(struct mt_slab_key *key, struct task_struct *task)
{
	__u32 flags = KREAD(task, flags);

	key->syscall = current_syscall(task);
	key->compat = is_ia32(task);
	if (flags & PF_IO_WORKER) {
		key->syscall = 426; /* io_uring_enter */
		key->compat = 0;
	} else if (flags & PF_KTHREAD) {
		key->syscall = MT_NO_SYSCALL;
		key->compat = 0;
	}
}

/* Tells name and size of a cache once. False when there is no room for it. */
MT_INLINE bool tell_cache(struct kmem_cache *cache, __u64 id)
{
	struct mt_slab_cache told = {};

	if (MAP_GET(slab_caches, &id))
		return true;
	told.bytes = charged_bytes(cache);
	bpf_probe_read_kernel_str(told.name, sizeof(told.name), KREAD(cache, name));
	MAP_ADD(slab_caches, &id, &told);
	return MAP_GET(slab_caches, &id) != 0;
}

/* The first object of its kind. False when there is no room for another row. */
MT_INLINE bool begin_row(struct mt_slab_key *key, struct kmem_cache *cache,
			 struct task_struct *task)
{
	__u64 one = 1;
	__u64 *objects;

	if (!tell_cache(cache, key->cache))
		return false;
	name_task(task, key->tgid, key->start);
	if (MAP_ADD(slab_allocated, key, &one) == 0)
		return true;
	objects = MAP_GET(slab_allocated, key); /* another CPU was faster, or full */
	if (objects)
		__sync_fetch_and_add(objects, 1);
	return objects != 0;
}

/*
 * Whether there was memory for the object. A program may look at a const void * of the event
 * itself only since Linux 6.16 (1271a40eeafa "bpf: Allow access to const void pointer arguments
 * in tracing programs"), so it is read as what it is in memory.
 */
MT_INLINE bool has_object(__u64 *ctx)
{
	__u64 object = 0;

	bpf_probe_read_kernel(&object, sizeof(object), &ctx[1]);
	return object != 0;
}

/* (call_site, object, cache, gfp, node) since Linux 6.1; the agent asks before loading this. */
PROBE(kmem_cache_alloc)
{
	struct kmem_cache *cache = (struct kmem_cache *)ARG(ctx, 2);
	struct mt_slab_key key = {};
	struct task_struct *task;
	struct mem_cgroup *memcg;
	__u64 *objects;

	if (!is_reclaimable(cache) || !is_accounted(cache, ARG(ctx, 3)) || !has_object(ctx))
		return 0;
	task = bpf_get_current_task_btf();
	memcg = paying_memcg(task);
	if (!memcg)
		return 0;
	key.cgroup = memcg_id(memcg);
	key.cache = (__u64)cache;
	key.tgid = KREAD(task, tgid);
	key.start = task_start(task);
	note_call(&key, task);
	objects = MAP_GET(slab_allocated, &key);
	if (objects)
		__sync_fetch_and_add(objects, 1);
	else if (!begin_row(&key, cache, task))
		count_loss(MT_LOST_SLAB_BYTES, charged_bytes(cache));
	return 0;
}

LICENSE("Dual BSD/GPL");
