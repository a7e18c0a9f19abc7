/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * engine.h: the dialect in which every shared program is written, so that one
 * source serves libbpf (CO-RE, direct BTF loads) and BCC (compiled on the node).
 *
 * PROBE(name)      a program on tracepoint `name`; ARG(ctx, n) is its nth argument
 * KREAD(p, f)      one hop from a pointer the verifier knows (ARG, current, KREAD)
 * SREAD(p, f)      one hop from an address it does not know (arithmetic, masks, void *)
 * SREAD2(p, f, g)  two of them
 * MAP_GET/ADD/SET  the only map operations; RING_OUTPUT the only way to send
 * CFG(name)        a constant set by the agent before loading
 * KENUM(e, v)      an enumerator's value on this kernel
 * MT_OFFSET(s, f)  where a member of a structure is
 * MT_HAS(s, f)     for #if: whether a member can be named; BCC names those of one kernel only
 * MT_EXISTS(f)     whether this kernel has a member that can be named
 *
 * With MEMTRACE_PAGES a source is for kernels before Linux 6.1, where events may be about
 * pages and the type of current is not known: there every KREAD is a copy, as with BCC.
 * With MEMTRACE_BCC the kernel's types come from its headers (then MEMTRACE_HEADERS is
 * defined, too) or from a header made of its BTF; see agent/memtrace/kernel/engines.
 *
 * Not here: what differs between kernels (kernel.h). Shared code uses no global
 * variables, callbacks or subprograms: BCC has none.
 */
#ifndef MEMTRACE_ENGINE_H
#define MEMTRACE_ENGINE_H

#ifdef MEMTRACE_BCC

#ifdef MEMTRACE_HEADERS
#include <linux/cgroup.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/memcontrol.h>
#include <linux/oom.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
/* What the headers call so is something else. */
#define current_task mt_current_task
#define folio_flags mt_folio_flags
#define folio_mapping mt_folio_mapping
#define shmem_mapping mt_shmem_mapping
#undef vmemmap
#endif

#define PROBE(name) int on_##name(__u64 *ctx)
#define COMMAND(name) int name(__u64 *ctx)
#define ARG(ctx, n) ((ctx)[n])
#define SREAD(p, f)                                                                  \
	({                                                                           \
		typeof((p)->f) mt_value; /* not initialized: it may be const */      \
		bpf_probe_read_kernel((void *)&mt_value, sizeof(mt_value), &(p)->f); \
		mt_value;                                                            \
	})
#define SREAD2(p, f, g) SREAD(SREAD(p, f), g)
#define KREAD(p, f) SREAD(p, f)
#define KENUM(e, v) (v)
#define MT_OFFSET(s, f) __builtin_offsetof(struct s, f)
#define MT_HAS(s, f) MEMTRACE_HAS_##s##_##f
#define MT_EXISTS(f) true
/* Numbers of maps and constants: the agent puts in descriptors and values (src_reg 1 and 2). */
#define MAP(name) ((void *)bpf_pseudo_fd(1, MEMTRACE_NUMBER_##name))
#define CONFIG_U32(name)
#define CFG(name) ((__u32)bpf_pseudo_fd(2, MEMTRACE_NUMBER_##name))
/* How a map is made: a program that is never loaded, for the number in it. */
#define MT_MAP(name, kind, key_bytes, value_bytes, entries)                                     \
	__u64 mt_map_##name(__u64 *ctx)                                                         \
	{                                                                                       \
		_Static_assert((key_bytes) < 256 && (value_bytes) < 65536, #name);              \
		return (__u64)(entries) << 32 | (__u64)(value_bytes) << 16 | (key_bytes) << 8 | \
		       (kind);                                                                  \
	}
#define MT_HASH(name, key, value, entries) \
	MT_MAP(name, BPF_MAP_TYPE_HASH, sizeof(key), sizeof(value), entries)
#define MT_LRU(name, key, value, entries) \
	MT_MAP(name, BPF_MAP_TYPE_LRU_HASH, sizeof(key), sizeof(value), entries)
#define MT_ARRAY(name, value, entries) \
	MT_MAP(name, BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(value), entries)
#define MT_PERCPU(name, value, entries) \
	MT_MAP(name, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(value), entries)
#define MT_RING(name, bytes) MT_MAP(name, BPF_MAP_TYPE_RINGBUF, 0, 0, bytes)
#define LICENSE(text)

#else

#define __VMLINUX_H__
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define PROBE(name) SEC("tp_btf/" #name) int on_##name(__u64 *ctx)
#define COMMAND(name) SEC("raw_tp") int name(__u64 *ctx)
#define ARG(ctx, n) ((ctx)[n])
#ifdef MEMTRACE_PAGES
#define KREAD(p, f) SREAD(p, f)
#else
#define KREAD(p, f) ((p)->f)
#endif
#define SREAD(p, f) BPF_CORE_READ(p, f)
#define SREAD2(p, f, g) BPF_CORE_READ(p, f, g)
#define KENUM(e, v) bpf_core_enum_value(enum e, v)
#define MT_OFFSET(s, f) bpf_core_field_offset(((struct s *)0)->f)
#define MT_HAS(s, f) 1
#define MT_EXISTS(f) bpf_core_field_exists(f)
#define CONFIG_U32(name) const volatile __u32 cfg_##name = 0
#define CFG(name) (cfg_##name)
#define MAP(name) ((void *)&name)
#define MT_MAP(name, kind, key_t, value_t, entries) \
	struct {                                    \
		__uint(type, kind);                 \
		__uint(max_entries, entries);       \
		__type(key, key_t);                 \
		__type(value, value_t);             \
	} name SEC(".maps")
#define MT_HASH(name, key, value, entries) MT_MAP(name, BPF_MAP_TYPE_HASH, key, value, entries)
#define MT_LRU(name, key, value, entries) MT_MAP(name, BPF_MAP_TYPE_LRU_HASH, key, value, entries)
#define MT_ARRAY(name, value, entries) MT_MAP(name, BPF_MAP_TYPE_ARRAY, __u32, value, entries)
#define MT_PERCPU(name, value, entries) \
	MT_MAP(name, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, value, entries)
#define MT_RING(name, bytes)                        \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, bytes);         \
	} name SEC(".maps")
#define LICENSE(text) char _license[] SEC("license") = text

#endif

/* The same helper, called the same way, whatever headers each engine brings. */
static void *(*mt_map_lookup)(void *, const void *) = (void *)1;
static long (*mt_map_update)(void *, const void *, const void *, __u64) = (void *)2;
static long (*mt_map_delete)(void *, const void *) = (void *)3;

#define MAP_GET(map, key) mt_map_lookup(MAP(map), key)
#define MAP_ADD(map, key, value) mt_map_update(MAP(map), key, value, 1 /* BPF_NOEXIST */)
#define MAP_SET(map, key, value) mt_map_update(MAP(map), key, value, 0 /* BPF_ANY */)
#define MAP_DELETE(map, key) mt_map_delete(MAP(map), key)
#define RING_OUTPUT(map, data, size, flags) bpf_ringbuf_output(MAP(map), data, size, flags)
#define BPF_RB_NO_WAKEUP_FLAG 1
#define BPF_RB_FORCE_WAKEUP_FLAG 2
#define BPF_RB_AVAIL_DATA_QUERY 0

#define MT_INLINE static __attribute__((always_inline)) inline
#define MT_UNUSED(name) name __attribute__((unused))
#define MT_BARRIER() asm volatile("" ::: "memory")

#endif
