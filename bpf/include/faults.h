/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * faults.h: where the current thread faults, and whether the kernel maps a whole folio there.
 *
 * The events of mapping tell the pages around a fault. A large folio is mapped beyond them,
 * all of it at once, where neither the end of the file, of the mapping or of a page table is
 * in its way. To know those the place of each thread's last fault is kept.
 */
#ifndef MEMTRACE_FAULTS_H
#define MEMTRACE_FAULTS_H

#include "kernel.h"

#define MT_PAGE_SHIFT 12
#define MT_PAGES_PER_TABLE 512 /* one more level up, that many may be mapped as one */

/*
 * Linux 6.18 maps whole folios of any size (357b92761d94 "mm/filemap: map entire large folio
 * faultaround", 19773df031bc "mm/fault: try to map the entire file folio in finish_fault()");
 * before, only those as large as a page table. No type tells that, so something is asked for
 * that came with the same release (53fbef56e07d "mm: introduce memdesc_flags_t").
 */
#define MT_MAPS_WHOLE bpf_core_type_exists(memdesc_flags_t)

#define MM_ANONPAGES 1
#define MM_SWAPENTS 2

/* An address as a pointer whose type the verifier knows; what is there may be anything. */
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;
#define TYPED(type, address) \
	((struct type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct type)))

struct mt_fault {
	__u64 address;
	__u64 settled; /* pages of files have been mapped since */
};

/* By thread. */
MT_LRU(last_fault, __u32, struct mt_fault, 8192);

/* What is mapped at an address: pages `first` to `end` - 1 of a file, from `start` on. */
struct mt_view {
	__u64 mapping;
	__u64 address;
	__u64 start;
	__u64 first;
	__u64 end;
	__u64 index; /* of the page at `address` */
};

MT_INLINE struct mt_fault *fault_of(struct task_struct *task)
{
	__u32 thread = task->pid;

	return MAP_GET(last_fault, &thread);
}

MT_INLINE void keep_fault(struct task_struct *task, __u64 address)
{
	struct mt_fault *known = fault_of(task), fault = {.address = address};
	__u32 thread = task->pid;

	if (known)
		*known = fault;
	else
		MAP_ADD(last_fault, &thread, &fault);
}

static long note_view(struct task_struct *MT_UNUSED(task), struct vm_area_struct *vma,
		      struct mt_view *view)
{
	struct file *file = vma->vm_file;

	if (!file)
		return 0;
	bpf_probe_read_kernel(&view->mapping, sizeof(view->mapping), &file->f_mapping);
	view->start = vma->vm_start;
	view->first = vma->vm_pgoff;
	view->end = view->first + ((vma->vm_end - view->start) >> MT_PAGE_SHIFT);
	view->index = view->first + ((view->address - view->start) >> MT_PAGE_SHIFT);
	return 0;
}

/* Fills in what is mapped where the thread faulted last; mapping 0: no file, or not known. */
MT_INLINE void view_at(struct task_struct *task, __u64 address, struct mt_view *view)
{
	view->address = address;
	bpf_find_vma(task, address, note_view, view, 0);
}

MT_INLINE __u64 file_pages(struct address_space *mapping)
{
	struct inode *host = SREAD(mapping, host);

	return (SREAD(host, i_size) + (1ULL << MT_PAGE_SHIFT) - 1) >> MT_PAGE_SHIFT;
}

/* Whether a fault on any of these pages, one folio's, maps all of them. */
MT_INLINE bool maps_whole(struct mt_view *view, __u64 first, __u64 pages)
{
	__u64 table = (view->start >> MT_PAGE_SHIFT) + first - view->first;

	if (pages != MT_PAGES_PER_TABLE && !MT_MAPS_WHOLE)
		return false;
	return view->mapping && first >= view->first && first + pages <= view->end &&
	       table / MT_PAGES_PER_TABLE == (table + pages - 1) / MT_PAGES_PER_TABLE &&
	       first + pages <= file_pages((struct address_space *)view->mapping);
}

#endif
