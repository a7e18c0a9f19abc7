/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * oom_record.h: what is told of a kill, how it is put together, grouped and sent. Decides
 * nothing about what is a kill.
 */
#ifndef MEMTRACE_OOM_RECORD_H
#define MEMTRACE_OOM_RECORD_H

#include "oom.h"
#include "task_io.h"

#define MT_KERNELS_KILLER 0
#define MT_SIGNALS 1
#define MT_GROUP_NS 1000000000ULL /* a call that kills a group takes no longer between two */
#define MT_NAME_BYTES 256
/* A victim was seen 11 times on its own stack, what is stale there included. */
#define MT_PLACES 64
#define MT_TICK_NS 10000000 /* of /proc/PID/stat, whatever the kernel's own tick is */

struct oom_record {
	struct mt_oom_kill kill;
	struct mt_oom_task victim;
	struct mt_oom_go go;
	struct mt_oom_task trigger;
	struct mt_oom_cause cause;
	struct mt_oom_level levels[MT_OOM_LEVELS];
	char path[MT_OOM_PATH_BYTES + MT_NAME_BYTES]; /* the last name's read may overshoot */
};

#define MT_MEMBER_BYTES \
	(sizeof(struct mt_oom_kill) + sizeof(struct mt_oom_task) + sizeof(struct mt_oom_go))
#define MT_FIXED_BYTES (sizeof(struct oom_record) - MT_OOM_PATH_BYTES - MT_NAME_BYTES)

struct oom_scratch {
	struct oom_record record;
	__u64 chain[MT_OOM_LEVELS]; /* addresses of the victim's mem_cgroups, its own first */
	__u64 top;		    /* of the stack of current */
	__u64 sought[3];
	__u64 places[MT_PLACES]; /* see oom_control.h */
	__u64 found;
};

/* The latest group of one killer. */
struct oom_group {
	__u64 first; /* boot_ns */
	__u64 last;
	__u64 target; /* the kernel's killer: task_struct of the first victim; else whose end was wanted */
};

struct oom_state {
	__u64 state[MT_OOM_STATES];
};

struct oom_name {
	char comm[MT_COMM_BYTES];
};

MT_RING(kills, 512 * 1024);
MT_ARRAY(kills_lost, __u64, 1);
/* MT_KERNELS_KILLER, MT_SIGNALS: they may interrupt each other. */
MT_PERCPU(oom_scratches, struct oom_scratch, 2);
MT_LRU(oom_signalled, __u64, __u64, 1024); /* victim's tgid -> pid_tgid of the killer */
MT_LRU(oom_groups, __u64, struct oom_group, 1024);
MT_HASH(oom_daemons, struct oom_name, __u32, 64);
MT_HASH(oom_go, __u32, struct mt_go_controller, 8192);
MT_ARRAY(oom_state, struct oom_state, 1); /* the answer of read_state */

MT_INLINE void send_kill(struct oom_record *record)
{
	__u32 zero = 0;
	__u64 *lost, bytes = MT_MEMBER_BYTES;

	if (!record->kill.member)
		bytes = MT_FIXED_BYTES + (record->cause.path_bytes & (2 * MT_OOM_PATH_BYTES - 1));
	/* Compared as a whole: the verifier of 6.1 concludes nothing about a sum from its part. */
	asm volatile("" : "+r"(bytes));
	if (bytes > sizeof(*record))
		bytes = sizeof(*record);
	if (RING_OUTPUT(kills, record, bytes, BPF_RB_FORCE_WAKEUP_FLAG) == 0)
		return;
	lost = MAP_GET(kills_lost, &zero);
	if (lost)
		__sync_fetch_and_add(lost, 1);
}

MT_INLINE void tell_memory(struct mt_oom_task *told, struct mm_struct *mm)
{
	told->file = MM_PAGES(mm, 0);
	told->anon = MM_PAGES(mm, 1);
	told->swap = MM_PAGES(mm, 2);
	told->shmem = MM_PAGES(mm, 3);
	told->peak = SREAD(mm, hiwater_rss);
	told->total_vm = SREAD(mm, total_vm);
	told->page_table_bytes = SREAD(mm, pgtables_bytes.counter);
}

MT_INLINE void tell_task(struct mt_oom_task *told, struct task_struct *task)
{
	struct task_struct *leader = SREAD(task, group_leader);
	struct signal_struct *signal = SREAD(task, signal);
	struct mm_struct *mm = SREAD((struct task_struct___oom *)task, mm);
	struct mt_disk_io io = {MT_UNTOLD, MT_UNTOLD};
	struct mem_cgroup *memcg = task_memcg(task);

	told->pid = SREAD(task, pid);
	told->tgid = SREAD(task, tgid);
	told->start = (__u32)(SREAD(leader, start_boottime) >> 20);
	told->uid = SREAD2((struct task_struct___oom *)task, real_cred, uid.val);
	told->oom_score_adj = SREAD((struct signal_struct___oom *)signal, oom_score_adj);
	told->pad = 0;
	told->cgroup = memcg ? memcg_id(memcg) : MT_UNTOLD;
	told->maxrss = SREAD(signal, maxrss);
	if (MT_COUNTS_IO)
		sum_io(signal, &io);
	told->read_bytes = io.read_bytes;
	told->write_bytes = io.write_bytes;
	bpf_probe_read_kernel_str(told->comm, sizeof(told->comm), &leader->comm);
	told->file = told->anon = told->swap = told->shmem = MT_UNTOLD;
	told->peak = told->total_vm = told->page_table_bytes = MT_UNTOLD;
	if (mm)
		tell_memory(told, mm);
}

MT_INLINE void tell_level(struct mt_oom_level *level, struct mem_cgroup *memcg)
{
	struct mem_cgroup___oom *counters = (struct mem_cgroup___oom *)memcg;

	level->cgroup = memcg_id(memcg);
	level->usage = SREAD(counters, memory.usage.counter);
	level->limit = SREAD(counters, memory.max);
	level->swap = SREAD(counters, memsw.usage.counter);
	level->swap_limit = SREAD(counters, memsw.max);
	level->kernel = kernel_usage(counters);
}

MT_INLINE void tell_levels(struct oom_scratch *scratch, struct task_struct *victim)
{
	struct cgroup_subsys_state *css = (struct cgroup_subsys_state *)task_memcg(victim);
	struct mt_oom_cause *cause = &scratch->record.cause;
	__u32 at;

	cause->levels = 0;
#pragma unroll 1
	for (at = 0; at < MT_OOM_LEVELS && css; at++) {
		scratch->chain[at] = (__u64)css;
		tell_level(&scratch->record.levels[at], (struct mem_cgroup *)css);
		cause->levels = at + 1;
		css = SREAD(css, parent);
	}
}

/* The names of the victim's cgroup and of those above it. */
MT_INLINE void tell_path(struct oom_record *record, struct task_struct *victim)
{
	struct mem_cgroup *memcg = task_memcg(victim);
	struct kernfs_node *node = 0;
	__u32 step, used = 0;
	const char *name;
	long length;

	if (memcg)
		node = SREAD2(memcg, css.cgroup, kn);
#pragma unroll 1
	for (step = 0; step < MT_OOM_LEVELS && node; step++) {
		name = SREAD(node, name);
		/* The compiler knows that `used` is small and drops the mask; the verifier does not. */
		asm volatile("" : "+r"(used));
		length = bpf_probe_read_kernel_str(record->path + (used & (MT_OOM_PATH_BYTES - 1)),
						   MT_NAME_BYTES, name);
		used += length & (2 * MT_NAME_BYTES - 1);
		if (length <= 0 || used >= MT_OOM_PATH_BYTES)
			break;
		node = kernfs_parent(node);
	}
	record->cause.path_bytes = used; /* MT_OOM_PATH_BYTES or more: cut */
}

MT_INLINE void tell_state(__u64 state[MT_OOM_STATES], __u64 memcg)
{
	struct mem_cgroup___oom *counters = (struct mem_cgroup___oom *)memcg;
	char *stats = (char *)SREAD(counters, vmstats);

	bpf_probe_read_kernel(state, MT_OOM_STATES * sizeof(*state), stats + MT_STATE_OFFSET);
}

MT_INLINE __u64 start_ticks(struct task_struct *task)
{
	return SREAD2(task, group_leader, start_boottime) / MT_TICK_NS;
}

/* Of a victim that is current: only its memory can be looked at, and only what is in memory. */
MT_INLINE void tell_go(struct mt_oom_go *told, struct task_struct *victim)
{
	__u32 tgid = SREAD(victim, tgid);
	struct mt_go_controller *controller = MAP_GET(oom_go, &tgid);

	__builtin_memset(told, 0, sizeof(*told));
	if (!controller || controller->start_ticks != start_ticks(victim))
		return;
	told->state = MT_OOM_GO_NOT_CURRENT;
	if (bpf_get_current_pid_tgid() >> 32 != tgid)
		return;
	told->state = MT_OOM_GO_READ;
	if (bpf_probe_read_user(told->block, sizeof(told->block), (void *)controller->address))
		told->state = MT_OOM_GO_UNREADABLE;
}

MT_INLINE void tell_kill(struct oom_scratch *scratch, struct task_struct *victim, __u32 how,
			 __u64 killer)
{
	struct oom_record *record = &scratch->record;

	record->kill.how = how;
	record->kill.boot_ns = bpf_ktime_get_boot_ns();
	record->kill.killer = killer;
	tell_task(&record->victim, victim);
	tell_go(&record->go, victim);
}

/* All about a group's first kill that its other victims share. */
MT_INLINE void tell_cause(struct oom_scratch *scratch, struct task_struct *victim)
{
	struct mt_oom_cause *cause = &scratch->record.cause;

	__builtin_memset(scratch->chain, 0, sizeof(scratch->chain));
	__builtin_memset(cause, 0, sizeof(*cause));
	cause->cgroup = MT_UNTOLD;
	tell_levels(scratch, victim);
	tell_path(&scratch->record, victim);
	tell_task(&scratch->record.trigger, current_task());
}

/* Makes this kill one more of `group`, its killer's latest, or without one the first of a new. */
MT_INLINE void join_group(struct oom_record *record, const struct oom_group *group, __u64 target)
{
	struct oom_group now = {.last = record->kill.boot_ns, .target = target};

	record->kill.member = group != 0;
	record->kill.group = group ? group->first : record->kill.boot_ns;
	now.first = record->kill.group;
	MAP_SET(oom_groups, &record->kill.killer, &now);
}

#endif
