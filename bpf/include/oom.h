/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * oom.h: the kernel structures behind an OOM kill, and one accessor for each thing
 * in them that differs between kernels. libbpf only.
 */
#ifndef MEMTRACE_OOM_H
#define MEMTRACE_OOM_H

#include "kernel.h"
#include "wire.h"

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

/* Pages of one kind: 0 file, 1 anonymous, 2 swapped out, 3 shared. May be below 0 for a moment. */
#define MM_PAGES(mm, kind)                                                                 \
	({                                                                                 \
		long mt_pages;                                                             \
		if (bpf_core_field_exists(((struct mm_struct___v6_1 *)0)->rss_stat.count)) \
			mt_pages = BPF_CORE_READ((struct mm_struct___v6_1 *)(mm),          \
						 rss_stat.count[kind].counter);            \
		else                                                                       \
			mt_pages = BPF_CORE_READ(mm, rss_stat[kind].count);                \
		(__u64)(mt_pages > 0 ? mt_pages : 0);                                      \
	})

MT_INLINE struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(((struct kernfs_node___v6_14 *)0)->parent))
		return BPF_CORE_READ((struct kernfs_node___v6_14 *)node, parent);
	return BPF_CORE_READ((struct kernfs_node___oom *)node, __parent);
}

MT_INLINE struct kernfs_node *kernfs_node(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	return (struct kernfs_node *)BPF_CORE_READ((struct inode___oom *)inode, i_private);
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
	struct cgroup___oom *cgroup = BPF_CORE_READ(node, priv);
	struct cgroup_subsys_state *css = 0;

	bpf_probe_read_kernel(&css, sizeof(css),
			      &cgroup->subsys[KENUM(cgroup_subsys_id, memory_cgrp_id)]);
	return (struct mem_cgroup *)css;
}

/* The memory cgroup of a task, or NULL. */
MT_INLINE struct mem_cgroup *task_memcg(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css = 0;

	bpf_probe_read_kernel(&css, sizeof(css),
			      &set->subsys[KENUM(cgroup_subsys_id, memory_cgrp_id)]);
	return (struct mem_cgroup *)css;
}

#endif
