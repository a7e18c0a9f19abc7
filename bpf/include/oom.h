/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * oom.h: the kernel structures behind an OOM kill, and one accessor for each thing
 * in them that differs between kernels.
 */
#ifndef MEMTRACE_OOM_H
#define MEMTRACE_OOM_H

#include "kernel.h"
#include "wire.h"

#ifdef MEMTRACE_BCC

#define task_struct___oom task_struct
#define signal_struct___oom signal_struct
#define mem_cgroup___oom mem_cgroup
#define kernfs_node___oom kernfs_node
#define kernfs_node___v6_14 kernfs_node
#define mm_struct___v6_1 mm_struct
#define cgroup___oom cgroup
#define inode___oom inode

#else

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mt_atomic_long {
	long counter;
};

struct percpu_counter {
	long long count;
};

struct mm_rss_stat {
	struct mt_atomic_long count[4];
};

struct mm_struct {
	struct percpu_counter rss_stat[4];
	struct mt_atomic_long pgtables_bytes;
	unsigned long hiwater_rss;
	unsigned long total_vm;
};

/* Before Linux 6.2 (f1a7941243c1 "mm: convert mm's rss stats into percpu_counter") */
struct mm_struct___v6_1 {
	struct mm_rss_stat rss_stat;
};

struct cred {
	struct {
		unsigned int val;
	} uid;
};

struct signal_struct___oom {
	short oom_score_adj;
};

struct pid {
	unsigned int level;
};

struct task_struct___oom {
	struct pid *thread_pid;
	struct mm_struct *mm;
	const struct cred *real_cred;
};

struct page_counter {
	struct mt_atomic_long usage;
	unsigned long max;
};

struct memcg_vmstats {
	long state[1];
};

struct mem_cgroup___oom {
	struct page_counter memory;
	struct page_counter memsw;
	struct page_counter kmem;
	struct memcg_vmstats *vmstats;
};

struct kernfs_node___oom {
	struct kernfs_node *__parent;
	void *priv;
};

/* Before Linux 6.15 (633488947ef6 "kernfs: Use RCU to access kernfs_node::parent.") */
struct kernfs_node___v6_14 {
	struct kernfs_node *parent;
};

struct cgroup___oom {
	struct cgroup_subsys_state *subsys[1];
};

struct inode___oom {
	void *i_private;
};

enum oom_constraint {
	CONSTRAINT_NONE,
	CONSTRAINT_CPUSET,
	CONSTRAINT_MEMORY_POLICY,
	CONSTRAINT_MEMCG,
};

struct zoneref {
	void *zone;
	int zone_idx;
};

struct zonelist {
	struct zoneref _zonerefs[1];
};

/* `constraint` since Linux 5.2 (ef8444ea01d7 "mm, oom: reorganize the oom report in dump_header"). */
struct oom_control {
	struct zonelist *zonelist;
	struct mem_cgroup *memcg;
	unsigned int gfp_mask;
	int order;
	unsigned long totalpages;
	struct task_struct *chosen;
	enum oom_constraint constraint;
};

#pragma clang attribute pop

#endif

/* Pages of one kind: 0 file, 1 anonymous, 2 swapped out, 3 shared. May be below 0 for a moment. */
#define MM_PAGES(mm, kind)                            \
	({                                            \
		long mt_pages = MM_COUNT(mm, kind);   \
		(__u64)(mt_pages > 0 ? mt_pages : 0); \
	})
#define MM_COUNT_NOW(mm, kind) SREAD(mm, rss_stat[kind].count)
#define MM_COUNT_V6_1(mm, kind) SREAD((struct mm_struct___v6_1 *)(mm), rss_stat.count[kind].counter)
#ifndef MEMTRACE_BCC
#define MM_COUNT(mm, kind)                                                                   \
	(MT_EXISTS(((struct mm_struct___v6_1 *)0)->rss_stat.count) ? MM_COUNT_V6_1(mm, kind) \
								   : MM_COUNT_NOW(mm, kind))
#elif MT_HAS(mm_rss_stat, count)
#define MM_COUNT MM_COUNT_V6_1
#else
#define MM_COUNT MM_COUNT_NOW
#endif

MT_INLINE struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
#if MT_HAS(kernfs_node, parent)
	if (MT_EXISTS(((struct kernfs_node___v6_14 *)0)->parent))
		return SREAD((struct kernfs_node___v6_14 *)node, parent);
#endif
#if MT_HAS(kernfs_node, __parent)
	return SREAD((struct kernfs_node___oom *)node, __parent);
#endif
}

/* Kernel memory in bytes; without CONFIG_MEMCG_V1 no such counter exists. */
MT_INLINE __u64 kernel_usage(struct mem_cgroup___oom *counters)
{
#if MT_HAS(mem_cgroup, kmem)
	if (MT_EXISTS(counters->kmem))
		return SREAD(counters, kmem.usage.counter);
#endif
	return MT_UNTOLD;
}

/*
 * The headers do not tell since Linux 6.1 (410f8e82689e "memcg: extract memcg_vmstats from
 * struct mem_cgroup"): there state is the first member.
 */
#ifdef MEMTRACE_HEADERS
#define MT_STATE_OFFSET 0
#else
#define MT_STATE_OFFSET MT_OFFSET(memcg_vmstats, state)
#endif

MT_INLINE struct kernfs_node *kernfs_node(struct file *file)
{
	struct inode *inode = SREAD(file, f_inode);

	return (struct kernfs_node *)SREAD((struct inode___oom *)inode, i_private);
}

/* The directory of a kernfs file that is open in current, or NULL. */
MT_INLINE struct kernfs_node *kernfs_directory(struct task_struct *task, __u64 fd)
{
	struct file *file = current_file(task, fd);
	struct kernfs_node *node = file ? kernfs_node(file) : 0;

	return node ? kernfs_parent(node) : 0;
}

/* The memory cgroup whose directory is open as `file`, or NULL. */
MT_INLINE struct mem_cgroup *directory_memcg(struct file *file)
{
	struct kernfs_node___oom *node = (struct kernfs_node___oom *)kernfs_node(file);
	struct cgroup___oom *cgroup = SREAD(node, priv);
	struct cgroup_subsys_state *css = 0;

	bpf_probe_read_kernel(&css, sizeof(css),
			      &cgroup->subsys[KENUM(cgroup_subsys_id, memory_cgrp_id)]);
	return (struct mem_cgroup *)css;
}

/* The memory cgroup of a task, or NULL. */
MT_INLINE struct mem_cgroup *task_memcg(struct task_struct *task)
{
	struct css_set *set = SREAD(task, cgroups);
	struct cgroup_subsys_state *css = 0;

	bpf_probe_read_kernel(&css, sizeof(css),
			      &set->subsys[KENUM(cgroup_subsys_id, memory_cgrp_id)]);
	return (struct mem_cgroup *)css;
}

#endif
