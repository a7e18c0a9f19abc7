/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * types.h: the few kernel structures memtrace reads, with only the members it
 * reads. libbpf relocates every access to the running kernel's layout (CO-RE);
 * names ending in ___x are older or newer shapes of the same structure.
 * Under BCC the same names come from the node's headers.
 */
#ifndef MEMTRACE_TYPES_H
#define MEMTRACE_TYPES_H

#ifdef MEMTRACE_BCC

#define page___v5_10 page
#define folio___v6_1 folio
#define bpf_core_type_size(type) sizeof(type)

#else

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct xarray {
	void *xa_head;
};

struct xa_node {
	unsigned char shift;
	void *slots[64];
};

struct super_block;
struct address_space;

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	struct address_space *i_mapping;
	unsigned long i_ino;
	unsigned int i_nlink;
	unsigned int i_rdev;
	unsigned int i_generation;
	long long i_size;
	struct list_head i_sb_list;
	struct hlist_head i_dentry;
};

struct address_space {
	struct inode *host;
	struct xarray i_pages;
	unsigned long nrpages;
};

struct shmem_inode_info {
	unsigned long swapped;
	struct inode vfs_inode;
};

struct super_block {
	struct list_head s_list;
	unsigned int s_dev;
	unsigned long s_magic;
	struct list_head s_inodes;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	union {
		struct hlist_node d_alias;
	} d_u;
};

/* By Linux 7.2 the union has lost its name. */
struct dentry___flat {
	struct hlist_node d_alias;
};

struct folio {
	unsigned long flags;
	struct address_space *mapping;
	unsigned long index;
	unsigned long memcg_data;
	unsigned int _nr_pages;
};

/*
 * What a folio was before Linux 5.17 (a0580c6f9bab "filemap: Convert tracing of page cache
 * operations to folio"); until Linux 6.1 (c3a15bff46cb "mm: reimplement folio_order() and
 * folio_nr_pages()") the second page tells how many there are. memcg_data: since Linux 5.11
 * (bcfe06bf2622 "mm: memcontrol: Use helpers to read page's memcg data").
 */
struct page___v5_10 {
	struct address_space *mapping;
	struct mem_cgroup *mem_cgroup;
	unsigned long memcg_data;
	unsigned int compound_nr;
};

/* Before Linux 6.15 (4996fc547f5b "mm: let _folio_nr_pages overlay memcg_data in first tail page") */
struct folio___v6_1 {
	unsigned int _folio_nr_pages;
};

enum node_stat_item {
	WORKINGSET_REFAULT_FILE,
	NR_FILE_PAGES,
	NR_SHMEM,
};

enum pageflags {
	PG_head,
	PG_swapbacked,
};

struct kernfs_node {
	const char *name;
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	unsigned int flags;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_subsys_state *subsys[1];
	struct cgroup_root *root;
};

struct mem_cgroup_per_node;

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct mem_cgroup_per_node *nodeinfo[1];
};

struct obj_cgroup {
	struct mem_cgroup *memcg;
	struct list_head list;
};

struct mem_cgroup_per_node {
	struct obj_cgroup *objcg;
	struct list_head objcg_list;
};

struct file {
	struct address_space *f_mapping;
	void *private_data;
	struct inode *f_inode;
};

struct mm_struct;

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_pgoff;
	struct file *vm_file;
};

typedef struct {
	unsigned long f;
} memdesc_flags_t;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct thread_info {
	__u32 status;
};

/* Without members where the kernel was built without CONFIG_TASK_IO_ACCOUNTING. */
struct task_io_accounting {
	__u64 read_bytes;
	__u64 write_bytes;
};

struct signal_struct {
	struct {
		int counter;
	} live;
	struct list_head thread_head;
	unsigned long maxrss;
	struct task_io_accounting ioac;
};

enum cgroup_subsys_id {
	memory_cgrp_id,
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
};

struct kmem_cache {
	unsigned int flags;
	unsigned int size;
	const char *name;
};

/* Since Linux 6.9; see slab.h and slab_caches.h. */
enum _slab_flag_bits {
	_SLAB_RECLAIM_ACCOUNT,
	_SLAB_ACCOUNT,
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct files_struct *files;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct mem_cgroup *active_memcg;
	struct list_head thread_node;
	struct task_io_accounting ioac;
	char comm[16];
	void *stack;
};

struct pt_regs {
	unsigned long di;
	unsigned long orig_ax;
};

#pragma clang attribute pop

#endif
#endif
