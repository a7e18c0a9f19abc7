/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * kernel.h: one accessor for each thing that differs between kernels, and the
 * kernel constants that are not in BTF. Everything else reads through these.
 */
#ifndef MEMTRACE_KERNEL_H
#define MEMTRACE_KERNEL_H

#include "engine.h"
#include "types.h"

#define PF_IO_WORKER 0x00000010
#define PF_DUMPCORE 0x00000200
#define PF_MEMALLOC 0x00000800
#define PF_KTHREAD 0x00200000
#define TS_COMPAT 0x0002

#define BDEVFS_MAGIC 0x62646576
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define OVERLAYFS_MAGIC 0x794c7630

#define S_IFMT 00170000
#define S_IFREG 0100000

/*
 * Current. The helper that tells its type is there since Linux 5.11 (3ca1032ab7ab "bpf:
 * Implement get_current_task_btf and RET_PTR_TO_BTF_ID").
 */
MT_INLINE struct task_struct *current_task(void)
{
#if defined(MEMTRACE_PAGES) || defined(MEMTRACE_HEADERS) /* without BTF it knows no type */
	return (struct task_struct *)bpf_get_current_task();
#else
	return bpf_get_current_task_btf();
#endif
}

/*
 * The first word of a folio. Raw, because `flags` became a structure in Linux
 * 6.18 (53fbef56e07d "mm: introduce memdesc_flags_t").
 */
MT_INLINE __u64 folio_flags(struct folio *folio)
{
#if defined(MEMTRACE_BCC) || defined(MEMTRACE_PAGES)
	__u64 flags = 0;
	bpf_probe_read_kernel(&flags, sizeof(flags), folio);
	return flags;
#else
	return *(__u64 *)folio;
#endif
}

MT_INLINE struct address_space *folio_mapping(struct folio *folio)
{
#ifdef MEMTRACE_PAGES
	struct page___v5_10 *page = (struct page___v5_10 *)folio;

	return SREAD(page, mapping);
#else
	return KREAD(folio, mapping);
#endif
}

/* The same with flags in its low bits: of an anonymous folio it is no mapping. */
MT_INLINE __u64 tagged_mapping(struct folio *folio)
{
#ifdef MEMTRACE_PAGES
	return (__u64)folio_mapping(folio);
#else
	return (__u64)SREAD(folio, mapping);
#endif
}

/* The owner with flags in its low bits, see owner_id. */
MT_INLINE __u64 folio_memcg_data(struct folio *folio)
{
#ifdef MEMTRACE_PAGES
	struct page___v5_10 *page = (struct page___v5_10 *)folio;

#if MT_HAS(page, memcg_data)
	if (MT_EXISTS(page->memcg_data))
		return SREAD(page, memcg_data);
#endif
#if MT_HAS(page, mem_cgroup)
	return (__u64)SREAD(page, mem_cgroup);
#endif
#else
	return KREAD(folio, memcg_data);
#endif
}

/* Pages of a folio already known to be large. */
MT_INLINE __u64 large_folio_pages(struct folio *folio)
{
#ifdef MEMTRACE_PAGES
	struct page___v5_10 *second =
		(struct page___v5_10 *)((char *)folio + bpf_core_type_size(struct page___v5_10));

	return SREAD(second, compound_nr);
#else
#if MT_HAS(folio, _nr_pages)
	if (MT_EXISTS(folio->_nr_pages))
		return KREAD(folio, _nr_pages);
#endif
#if MT_HAS(folio, _folio_nr_pages)
	return KREAD((struct folio___v6_1 *)folio, _folio_nr_pages);
#endif
#endif
}

/* Pages of PAGE_SIZE bytes in a folio of any order. */
MT_INLINE __u64 folio_pages(struct folio *folio)
{
	if (folio_flags(folio) & (1ULL << KENUM(pageflags, PG_head)))
		return large_folio_pages(folio);
	return 1;
}

/* Whether a removed cgroup's pages go over to its parent (owner.h). */
#ifdef MEMTRACE_BCC
#define MT_REPARENTS false
#else
#define MT_REPARENTS bpf_core_field_exists(((struct mem_cgroup_per_node *)0)->objcg)
#endif

#define CSS_ONLINE 2
#define CSS_DYING 16

/* Whether the directory of its cgroup is gone, or about to go. */
MT_INLINE bool is_leaving(struct cgroup_subsys_state *css)
{
	return (SREAD(css, flags) & (CSS_ONLINE | CSS_DYING)) != CSS_ONLINE;
}

/* The low bits of memcg_data are flags; what is left is the owner. */
#define MEMCG_DATA_FLAGS 7ULL
#define MEMCG_DATA_KMEM 2ULL

MT_INLINE __u64 memcg_id(struct mem_cgroup *memcg)
{
	struct cgroup *cgroup = SREAD(memcg, css.cgroup);
	struct kernfs_node *node = SREAD(cgroup, kn);

	return SREAD(node, id);
}

/* Id of the memory cgroup a task's own pages are charged to. */
MT_INLINE __u64 task_memcg_id(struct task_struct *task)
{
	struct css_set *set = SREAD(task, cgroups);
	struct cgroup_subsys_state *css = 0;

	bpf_probe_read_kernel(&css, sizeof(css),
			      &set->subsys[KENUM(cgroup_subsys_id, memory_cgrp_id)]);
	return css ? memcg_id((struct mem_cgroup *)css) : 0;
}

/* From a dentry's link in its inode's list back to the dentry. */
#ifdef MEMTRACE_BCC
#if MT_HAS(dentry, d_u)
#define MT_ALIAS_OFFSET MT_OFFSET(dentry, d_u.d_alias)
#else
#define MT_ALIAS_OFFSET MT_OFFSET(dentry, d_alias)
#endif
#else
#define MT_ALIAS_OFFSET alias_offset()

MT_INLINE __u64 alias_offset(void)
{
	__u64 offset;

	/* The assembler keeps each offset in its branch: of an absent member it is no instruction. */
	if (bpf_core_field_exists(((struct dentry *)0)->d_u)) {
		offset = bpf_core_field_offset(((struct dentry *)0)->d_u.d_alias);
		asm volatile("" : "+r"(offset));
	} else {
		offset = bpf_core_field_offset(((struct dentry___flat *)0)->d_alias);
		asm volatile("" : "+r"(offset));
	}
	return offset;
}
#endif

/* Pages of a tmpfs inode that are swapped out. */
MT_INLINE __u64 swapped_pages(struct inode *inode)
{
	char *info = (char *)inode - MT_OFFSET(shmem_inode_info, vfs_inode);

	return SREAD((struct shmem_inode_info *)info, swapped);
}

#ifndef THREAD_SIZE
#define THREAD_SIZE 16384 /* x86-64 without KASAN */
#endif
#ifndef TOP_OF_KERNEL_STACK_PADDING
#define TOP_OF_KERNEL_STACK_PADDING 0
#endif

/*
 * What current's user-space registers were, at the top of its stack. The helper is there
 * since Linux 5.15 (dd6e10fbd9fb "bpf: Add bpf_task_pt_regs() helper").
 */
MT_INLINE struct pt_regs *user_registers(struct task_struct *task)
{
#if defined(MEMTRACE_PAGES) || defined(MEMTRACE_HEADERS)
	char *stack = SREAD(task, stack);

	return (struct pt_regs *)(stack + THREAD_SIZE - TOP_OF_KERNEL_STACK_PADDING -
				  bpf_core_type_size(struct pt_regs));
#else
	return (struct pt_regs *)bpf_task_pt_regs(task);
#endif
}

/* The system call current is in: orig_ax, -1 for a page fault from user space. */
MT_INLINE long current_syscall(struct task_struct *task)
{
	struct pt_regs *regs = user_registers(task);

	return (long)KREAD(regs, orig_ax);
}

MT_INLINE __u64 current_syscall_arg0(struct task_struct *task)
{
	struct pt_regs *regs = user_registers(task);

	return KREAD(regs, di);
}

MT_INLINE __u32 task_start(struct task_struct *task)
{
	struct task_struct *leader = KREAD(task, group_leader);

	return (__u32)(KREAD(leader, start_boottime) >> 20);
}

/* Whether tasks count what they read from and write to disk (CONFIG_TASK_IO_ACCOUNTING). */
#ifdef MEMTRACE_BCC
#define MT_COUNTS_IO MT_HAS(task_io_accounting, read_bytes)
#else
#define MT_COUNTS_IO bpf_core_field_exists(((struct task_io_accounting *)0)->read_bytes)
#endif

/* The open file behind a descriptor of current, or NULL. */
MT_INLINE struct file *current_file(struct task_struct *task, __u64 fd)
{
	struct files_struct *files = KREAD(task, files);
	struct fdtable *table;
	struct file **slots;
	struct file *file = 0;

	if (!files)
		return 0;
	table = KREAD(files, fdt);
	if (fd >= KREAD(table, max_fds))
		return 0;
	slots = KREAD(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	return file;
}

MT_INLINE __u64 file_magic(struct file *file)
{
	struct inode *inode = SREAD(file, f_inode);
	struct super_block *sb = SREAD(inode, i_sb);

	return SREAD(sb, s_magic);
}

MT_INLINE struct address_space *file_mapping(struct file *file)
{
	return SREAD(file, f_mapping);
}

/*
 * The file an overlay file stands for: private_data is the real file, or since
 * Linux 6.13 (18e48d0e2c7b "ovl: store upper real file in ovl_file struct") points
 * to {real file, upper file}. `which`: 0, 1 or 2 for these three readings.
 */
MT_INLINE struct file *overlay_real_file(struct file *file, int which)
{
	void **data = (void **)SREAD(file, private_data);
	struct file *real = 0;

	if (which == 0)
		return (struct file *)data;
	bpf_probe_read_kernel(&real, sizeof(real), data + which - 1);
	return real;
}

/* Does I/O on this descriptor's file go through `mapping`? Sees through overlayfs. */
MT_INLINE bool file_uses(struct file *file, struct address_space *mapping)
{
	if (file_mapping(file) == mapping)
		return true;
	if (file_magic(file) != OVERLAYFS_MAGIC)
		return false;
	return file_mapping(overlay_real_file(file, 0)) == mapping ||
	       file_mapping(overlay_real_file(file, 1)) == mapping ||
	       file_mapping(overlay_real_file(file, 2)) == mapping;
}

#endif
