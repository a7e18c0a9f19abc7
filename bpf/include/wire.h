/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * wire.h: every record that crosses from the BPF programs to the agent.
 *
 * This header is the truth; agent/memtrace/kernel/wire.py mirrors it and a test
 * compares both with the object's BTF. Fixed-width integers and explicit padding
 * only. Amounts are pages of PAGE_SIZE bytes: the agent multiplies once.
 */
#ifndef MEMTRACE_WIRE_H
#define MEMTRACE_WIRE_H

#define MT_COMM_BYTES 16
#define MT_PATH_BYTES 4096
#define MT_CACHE_NAME_BYTES 60

/* Why a page entered the cache. Order is a contract with wire.py. */
enum mt_kind {
	MT_READ,
	MT_WRITE,
	MT_MMAP,
	MT_READAHEAD,
	MT_SENDFILE,
	MT_SPLICE,
	MT_COPY_FILE_RANGE,
	MT_FALLOCATE,
	MT_EXEC,
	MT_IO_URING,
	MT_METADATA,
	MT_SHMEM,
	MT_KERNEL,
	MT_OTHER,
	MT_KINDS = 16,
	/* Removals share the ledger: their kind is MT_REMOVED + reason. */
	MT_REMOVED = 16,
};

/* Why a page left the cache. */
enum mt_reason {
	MT_RECLAIM,
	MT_TRUNCATE,
	MT_UNLINK,
	MT_DROP,
	MT_REASON_OTHER,
	MT_REASONS = 8,
};

/*
 * One cause: who (tgid, start) put pages of which file (device, inode,
 * generation) into which cgroup, and how (kind). A removal has tgid and start 0.
 * start is the thread group leader's start_boottime >> 20, so that a recycled
 * pid is another process. generation is i_generation, so that a recycled inode
 * number is another file. A block device's pages carry its i_rdev and inode 0.
 */
struct mt_ledger_key {
	__u64 cgroup;
	__u64 inode;
	__u32 device;
	__u32 generation;
	__u32 tgid;
	__u32 start;
	__u32 kind;
	__u32 pad;
};

#define MT_NO_SYSCALL (-2) /* a kernel thread: what its stack holds means nothing */

struct mt_ledger_value {
	__u64 pages;
	__s32 syscall; /* orig_ax of the latest refill; -1: page fault, MT_NO_SYSCALL */
	__u32 compat;  /* 1: syscall is an ia32 number */
};

/* Cumulative per cgroup, never evicted while the cgroup lives. */
struct mt_total {
	__u64 added[MT_KINDS];
	__u64 removed[MT_REASONS];
	__u64 overflow_added; /* of these, pages the ledger had no room for */
	__u64 overflow_removed;
};

/* One element, index 0: written by the agent, read by every program. */
struct mt_control {
	__u32 epoch; /* which of the two ledgers is being filled: epoch & 1 */
	__u32 pad;
};

/* Losses by place; one element each of the array map `losses`. */
enum mt_loss {
	MT_LOST_RING,	      /* an event found the ring buffer full */
	MT_LOST_NAMES,	      /* ... and it was a path or a process name */
	MT_LOST_LEDGER_PAGES, /* pages that went to overflow_* instead of a row */
	MT_LOST_TOTAL_PAGES,  /* pages whose cgroup had no room in `totals` */
	MT_LOST_NO_CGROUP,    /* page cache that no memory cgroup pays for */
	MT_LOST_OWNERS,	      /* removed cgroups whose pages will leave in their parent's name */
	MT_LOST_SLAB_BYTES,   /* kernel objects that found no row in `slab_allocated` */
	MT_LOSSES = 8,
};

/* Ring buffer events: a header, then the record. */
enum mt_event_type {
	MT_EVENT_PATH = 1,
	MT_EVENT_TASK,
	MT_EVENT_EXIT,
	MT_EVENT_CGROUP_MKDIR,
	MT_EVENT_CGROUP_RMDIR,
	MT_EVENT_CGROUP_RELEASE,
};

#define MT_UNTOLD (~0ULL)

#define MT_PATH_TRUNCATED 1 /* deeper or longer than what was read */
#define MT_PATH_NONE 2	    /* the inode has no dentry: block device, evicted name */
#define MT_PATH_PSEUDO 4    /* a name without a place: memfd, SysV shared memory */

/* path: components leaf first, each NUL-terminated, up to the superblock's root. */
struct mt_path_event {
	__u32 type;
	__u32 flags;
	__u64 inode;
	__u32 device;
	__u32 generation;
	__u32 links;
	__u32 mode;
	__u32 magic;	  /* s_magic of the file system */
	__u32 bytes;	  /* used bytes of path */
	__u32 superblock; /* s_dev: differs from `device` in a subvolume of btrfs */
	__u32 pad;
	char path[MT_PATH_BYTES];
};

struct mt_task_event {
	__u32 type;
	__u32 tgid;
	__u32 start;
	__u32 pad;
	char comm[MT_COMM_BYTES];
};

/* The peak of its last program, and what /proc/PID/io would have said; MT_UNTOLD: not known. */
struct mt_exit_event {
	__u32 type;
	__u32 tgid;
	__u32 start;
	__u32 pad;
	__u64 peak_pages;
	__u64 read_bytes;
	__u64 write_bytes;
};

/* path: from the root of the memory hierarchy, NUL-terminated, cut at MT_PATH_BYTES. */
struct mt_cgroup_event {
	__u32 type;
	__u32 bytes; /* used bytes of path, the NUL included */
	__u64 id;
	__u64 parent;
	char path[MT_PATH_BYTES];
};

/*
 * OOM kills, in a ring of their own. A record is mt_oom_kill, then mt_oom_task of the
 * victim and mt_oom_go. The first one of a group goes on with mt_oom_task of who triggered it,
 * mt_oom_cause, MT_OOM_LEVELS times mt_oom_level and the path of the victim's cgroup:
 * `path_bytes` of components, leaf first, each NUL-terminated.
 */
enum mt_oom_how {
	MT_OOM_KERNEL = 1,
	MT_OOM_CGROUP_KILL, /* somebody wrote into cgroup.kill */
	MT_OOM_DAEMON,	    /* a signal from one of the `oom_daemons` */
};

struct mt_oom_kill {
	__u32 how;
	__u32 member; /* 1: another victim of a group whose first record was sent before */
	__u64 group;  /* boot_ns of the group's first kill */
	__u64 killer; /* pid_tgid: with `group`, which group */
	__u64 boot_ns;
};

/* Amounts of memory in pages; MT_UNTOLD: the task has no memory of its own (any more). */
struct mt_oom_task {
	__u32 pid;
	__u32 tgid;
	__u32 start;
	__u32 uid;
	__s32 oom_score_adj;
	__u32 pad;
	__u64 cgroup; /* of the memory hierarchy */
	__u64 file;
	__u64 anon;
	__u64 swap;
	__u64 shmem;
	__u64 peak; /* hiwater_rss; the kernel raises it only when the memory shrinks */
	__u64 total_vm;
	__u64 page_table_bytes;
	__u64 maxrss; /* of threads that ended and programs before exec */
	__u64 read_bytes;
	__u64 write_bytes;
	char comm[MT_COMM_BYTES];
};

/* What there is of a victim's gcController, if the agent told where it is. */
enum mt_oom_go_state {
	MT_OOM_GO_UNTOLD,
	MT_OOM_GO_READ,
	MT_OOM_GO_NOT_CURRENT, /* another process ran into the limit: the victim's memory is not at hand */
	MT_OOM_GO_UNREADABLE,
};

#define MT_OOM_GO_BYTES 352

/* Where a Go program has its gcController: told by the agent, by the process' id. */
struct mt_go_controller {
	__u64 address;
	__u64 start_ticks; /* when it started, as /proc/PID/stat has it */
};

struct mt_oom_go {
	__u32 state;
	__u32 pad;
	char block[MT_OOM_GO_BYTES];
};

#define MT_OOM_LEVELS 16
#define MT_OOM_STATES 48
#define MT_OOM_PATH_BYTES 1024
#define MT_NO_CGROUP 0 /* the whole machine ran out of memory */

struct mt_oom_cause {
	__u64 cgroup;	   /* out of memory: MT_NO_CGROUP: the machine, MT_UNTOLD: not known */
	__u64 total_pages; /* what the kernel scores victims against */
	__u32 gfp_mask;
	__s32 order;
	__u32 levels; /* used ones of MT_OOM_LEVELS */
	__u32 path_bytes;
	__u64 state[MT_OOM_STATES]; /* how memcg->vmstats->state begins */
};

/* One cgroup on the way from the victim's up to the root. Pages; no limit: over 2^50. */
struct mt_oom_level {
	__u64 cgroup;
	__u64 usage;
	__u64 limit;
	__u64 swap; /* v1: memory and swap together */
	__u64 swap_limit;
	__u64 kernel; /* v1 only; or MT_UNTOLD */
};

/* Baseline: what was resident when an inode was walked. */
struct mt_baseline_key {
	__u64 cgroup;
	__u64 inode;
	__u32 device;
	__u32 generation;
};

struct mt_baseline_value {
	__u64 pages;
	__u32 visit; /* a second visit of the inode in one pass starts again from 0 */
	__u32 shmem; /* 1: tmpfs or shared memory */
};

/* A file of the `wanted` set: all a filtered walk looks at. */
struct mt_file {
	__u64 inode;
	__u32 device;
	__u32 generation;
};

/* On demand: what a process did with pages of a file that the cgroup `payer` pays for. */
struct mt_use_key {
	__u64 payer;
	__u64 inode;
	__u32 device;
	__u32 generation;
	__u64 user; /* the process' own memory cgroup */
	__u32 tgid;
	__u32 start;
};

#define MT_STACK_DEPTH 48

/*
 * On demand: the code that made pages enter the cache. Begins as mt_ledger_key. pcs: return
 * addresses, the innermost first, then zeros; none of a thread of the kernel. More than
 * MT_STACK_DEPTH are cut.
 */
struct mt_stack_key {
	__u64 cgroup;
	__u64 inode;
	__u32 device;
	__u32 generation;
	__u32 tgid;
	__u32 start;
	__u32 kind;
	__u32 pad;
	__u64 pcs[MT_STACK_DEPTH];
};

struct mt_stack_value {
	__u64 pages; /* estimated */
	__u64 samples;
	__u64 text; /* where the program's own code begins in memory; 0: not known */
};

#define MT_WALK_WANTED 1 /* only inodes in `wanted` */
#define MT_WALK_NAMES 2	 /* emit a path event for each inode visited */
#define MT_WALK_COUNT 4	 /* count resident pages into `baseline` */
#define MT_WALK_NOW 8	 /* count into `resident` instead, for the caller to drain */

/*
 * Context of the walk program: one superblock a run. The lower half is the answer.
 * With neither NAMES nor COUNT it only says which superblock has this index.
 */
struct mt_walk {
	__u32 fd; /* any open file: the way to the ring of superblocks */
	__u32 flags;
	__u32 index; /* which superblock of the ring */
	__u32 found; /* 0: index is past the last superblock */
	__u64 inodes;
	__u64 files; /* inodes with pages of their own */
	__u64 pages;
	__u64 full; /* pages that found no room in `baseline` */
	__u32 restarts;
	__u32 torn; /* 1: the list kept changing under the walk; this superblock is incomplete */
	__u32 device;
	__u32 magic; /* s_magic of the file system */
};

/* The census: what of kernel memory a cgroup (0: nobody) holds in a cache (its address). */
struct mt_holding_key {
	__u64 cgroup;
	__u64 cache;
};

struct mt_holding {
	__u64 objects;
	__u64 bytes; /* as charged; free of charge: the objects alone */
};

/* Instead of a cache: pages that are no slab's. */
#define MT_LARGE_KMALLOC 1 /* kmalloc of more than two pages; memory.stat has it as slab */
#define MT_PAGE_TABLES 2
#define MT_OTHER_PAGES 3 /* stacks, pipes, vmalloc, or unknown on an older kernel */

struct mt_cache {
	__u64 pages; /* of its slabs */
	__u32 size;  /* of an object */
	__u32 reclaimable;
	char name[MT_CACHE_NAME_BYTES];
	__u32 pad;
};

/* Context of the census program: in to `nanoseconds`; out `page`, and from `slab_pages` on. */
struct mt_census {
	__u64 vmemmap; /* address of page number 0's struct page */
	__u64 page;    /* number to go on with */
	__u64 end;
	__u64 nanoseconds; /* stop after so long */
	__u64 slab_pages;
	__u64 full;  /* bytes that found no room in `holdings` */
	__u32 odd;   /* slabs that changed while they were read */
	__u32 holes; /* parts without struct pages */
};

struct mt_find_page {
	__u32 fd; /* of a file of one page, in memory */
	__u32 struct_bytes;
	__u64 address;
	__u32 page_types; /* 1: pages of page tables are told from other ones */
	__u32 pad;
};

/*
 * Who had kernel objects allocated: a process in a system call, from a cache, at a cgroup's
 * expense. `cache` is the address of its struct kmem_cache. The value counts objects.
 */
struct mt_slab_key {
	__u64 cgroup;
	__u64 cache;
	__u32 tgid;
	__u32 start;
	__s32 syscall; /* as in mt_ledger_value */
	__u32 compat;
};

#define MT_SLAB_ROWS 16384

struct mt_slab_cache {
	__u32 bytes; /* what the kernel charges for one object */
	char name[MT_CACHE_NAME_BYTES];
};

/*
 * Go: which of the five functions of its runtime a probe is on, in the low bits of its
 * cookie; the number of the binary is above them.
 */
enum mt_go_point {
	MT_GO_STOP,   /* stopTheWorldWithSema */
	MT_GO_BEGIN,  /* (*gcControllerState).startCycle */
	MT_GO_END,    /* (*gcControllerState).endCycle */
	MT_GO_RESET,  /* (*gcControllerState).resetLive */
	MT_GO_FINISH, /* (*gcCPULimiterState).finishGCTransition */
	MT_GO_POINTS,
	MT_GO_POINT_BITS = 8,
	MT_GO_POINT_MASK = 255,
};

enum mt_go_loss {
	MT_GO_LOST_RING,    /* a collection found the ring buffer full */
	MT_GO_LOST_PROCESS, /* too many processes at it at once */
	MT_GO_LOSSES,
};

/* Offsets of int64 nanoseconds in a binary's gcController; 0: not known. */
struct mt_go_times {
	__u32 assist;
	__u32 dedicated;
	__u32 fractional;
	__u32 idle;
};

/*
 * One garbage collection that ended, in a ring of its own. Moments are of CLOCK_MONOTONIC:
 * the world is first stopped at begun_ns; at ended_ns it is about to be started again.
 * MT_UNTOLD: not known.
 */
struct mt_go_cycle {
	__u32 tgid;
	__u32 start;
	__u64 cgroup;
	__u64 begun_ns;
	__u64 ended_ns;
	__u64 first_pause_ns;
	__u64 last_pause_ns;
	__u64 marked_bytes;
	__u64 assist_ns; /* CPU time, as the other three */
	__u64 dedicated_ns;
	__u64 fractional_ns;
	__u64 idle_ns;
	__u64 controller; /* address of gcController in the process */
	__u32 trigger;	  /* 0: the heap grew, 1: two minutes went by, 2: runtime.GC */
	__u32 procs;	  /* GOMAXPROCS */
	__u32 binary;
	__u32 pad;
};

#endif
