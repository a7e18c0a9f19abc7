/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * syscalls.h: what current was doing when a page entered or left the cache, told
 * from the system call it is in (x86-64 and ia32 numbers), its task flags and the
 * file its descriptor names. No system call is traced for this.
 */
#ifndef MEMTRACE_SYSCALLS_H
#define MEMTRACE_SYSCALLS_H

#include "kernel.h"
#include "wire.h"

#define SYSCALL_PAGE_FAULT (-1)

/* ia32 numbers of the calls that matter, as their x86-64 ones; others: -2. */
MT_INLINE long from_ia32(long nr)
{
	switch (nr) {
	case 3: return 0;     /* read */
	case 4: return 1;     /* write */
	case 145: return 19;  /* readv */
	case 146: return 20;  /* writev */
	case 180: return 17;  /* pread64 */
	case 181: return 18;  /* pwrite64 */
	case 333: return 295; /* preadv */
	case 334: return 296; /* pwritev */
	case 378: return 327; /* preadv2 */
	case 379: return 328; /* pwritev2 */
	case 187:
	case 239: return 40;  /* sendfile, sendfile64 */
	case 313: return 275; /* splice */
	case 377: return 326; /* copy_file_range */
	case 324: return 285; /* fallocate */
	case 225: return 187; /* readahead */
	case 250:
	case 272: return 221; /* fadvise64, fadvise64_64 */
	case 219: return 28;  /* madvise */
	case 90:
	case 192: return 9;   /* mmap, mmap2 */
	case 11: return 59;   /* execve */
	case 358: return 322; /* execveat */
	case 92:
	case 193: return 76; /* truncate, truncate64 */
	case 93:
	case 194: return 77;  /* ftruncate, ftruncate64 */
	case 5: return 2;     /* open */
	case 295: return 257; /* openat */
	case 426: return 426; /* io_uring_enter */
	case SYSCALL_PAGE_FAULT: return SYSCALL_PAGE_FAULT;
	}
	return -2;
}

/* Why a page of a file that is not metadata entered the cache. */
MT_INLINE __u32 kind_of_syscall(long nr)
{
	switch (nr) {
	case 0:
	case 17:
	case 19:
	case 295:
	case 327: /* read, pread64, readv, preadv, preadv2 */
	case 313: /* finit_module */ return MT_READ;
	case 1:
	case 18:
	case 20:
	case 296:
	case 328: /* write, pwrite64, writev, pwritev, pwritev2 */ return MT_WRITE;
	case SYSCALL_PAGE_FAULT:
	case 9:
	case 25:
	case 149:
	case 151:
	case 325: /* mmap (MAP_POPULATE), mremap, mlock, mlockall, mlock2 */
	case 44:
	case 45:
	case 46:
	case 47:
	case 299:
	case 307: /* socket I/O faulting on a mapped buffer */ return MT_MMAP;
	case 28:
	case 187:
	case 221:
	case 440: /* madvise, readahead, fadvise64, process_madvise */ return MT_READAHEAD;
	case 40: return MT_SENDFILE;
	case 275:
	case 276: return MT_SPLICE; /* splice, tee */
	case 326: return MT_COPY_FILE_RANGE;
	case 285: return MT_FALLOCATE;
	case 59:
	case 322: return MT_EXEC;
	case 425:
	case 426:
	case 427: return MT_IO_URING;
	}
	return MT_OTHER;
}

MT_INLINE bool is_ia32(struct task_struct *task)
{
	return KREAD(task, thread_info.status) & TS_COMPAT;
}

/* What the row says of the call it came from. */
MT_INLINE void note_syscall(struct mt_ledger_value *value, struct task_struct *task, long nr)
{
	value->syscall = KREAD(task, flags) & PF_KTHREAD ? MT_NO_SYSCALL : nr;
	value->compat = is_ia32(task);
}

/*
 * A fault inside read() or write(), on a buffer mapped from another file, keeps
 * the call's number: it is I/O of the call only if its descriptor's file uses
 * this mapping.
 */
MT_INLINE bool fault_inside_call(struct task_struct *task, __u32 kind,
				 struct address_space *mapping)
{
	struct file *file;

	if (kind != MT_READ && kind != MT_WRITE)
		return false;
	file = current_file(task, current_syscall_arg0(task));
	return file && !file_uses(file, mapping);
}

MT_INLINE __u32 add_kind(struct task_struct *task, long nr, struct address_space *mapping)
{
	__u32 flags = KREAD(task, flags);
	__u32 kind;

	if (flags & PF_IO_WORKER)
		return MT_IO_URING;
	if (flags & PF_KTHREAD)
		return MT_KERNEL;
	if (flags & PF_DUMPCORE)
		return MT_WRITE;
	kind = kind_of_syscall(is_ia32(task) ? from_ia32(nr) : nr);
	return fault_inside_call(task, kind, mapping) ? MT_MMAP : kind;
}

MT_INLINE __u32 reason_of_syscall(long nr)
{
	switch (nr) {
	case 2:
	case 85:
	case 257:
	case 437: /* open, creat, openat, openat2: O_TRUNC */
	case 76:
	case 77:
	case 285: /* truncate, ftruncate, fallocate: punched */ return MT_TRUNCATE;
	case 1:
	case 18:
	case 20:
	case 296:
	case 328: /* drop_caches, O_DIRECT invalidation */
	case 28:
	case 221:
	case 166: /* madvise, fadvise64, umount2 */ return MT_DROP;
	}
	return MT_REASON_OTHER;
}

/* Why a page left: reclaim first, for it works inside any call. */
MT_INLINE __u32 removal_reason(struct task_struct *task, long nr, bool unlinked)
{
	__u32 flags = KREAD(task, flags);
	__u32 reason;

	if (flags & PF_MEMALLOC)
		return MT_RECLAIM;
	if (flags & PF_KTHREAD)
		return unlinked ? MT_UNLINK : MT_REASON_OTHER;
	reason = reason_of_syscall(is_ia32(task) ? from_ia32(nr) : nr);
	if (reason == MT_TRUNCATE)
		return reason;
	return unlinked ? MT_UNLINK : reason;
}

#endif
