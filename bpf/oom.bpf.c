// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * oom.bpf.c: every kill for want of memory, told at the moment it is decided: by the
 * kernel's OOM killer, through cgroup.kill, or by a daemon known to kill for memory.
 * Other SIGKILLs are not reported. Changes nothing and walks no list of processes.
 *
 * The kernel's killer sends SIGKILL with SEND_SIG_PRIV, then marks the victim. Marks
 * alone say too much (processes already ending, further threads), such signals alone, too
 * (a pid namespace's end): a kill is both, in this order, by the same task.
 *
 * Which cgroup was out of memory stands in the oom_control on the stack of whoever ran into
 * it: the kernel's own word, where events and usage only hint at it.
 */
#include "engine.h"
#include "kernel.h"
#include "oom.h"
#include "oom_control.h"
#include "oom_record.h"

#define SIGKILL 9
#define SIGTERM 15
#define SEND_SIG_NOINFO 0
#define SEND_SIG_PRIV 1

PROBE(mark_victim)
{
	struct task_struct *victim = (struct task_struct *)ARG(ctx, 0);
	__u64 tgid = SREAD(victim, tgid), killer = bpf_get_current_pid_tgid();
	__u64 leader = (__u64)SREAD(victim, group_leader);
	__u64 *sent = MAP_GET(oom_signalled, &tgid);
	struct oom_scratch *scratch;
	struct oom_group *group;
	__u32 mine = MT_KERNELS_KILLER;

	if (!sent || *sent != killer)
		return 0;
	MAP_DELETE(oom_signalled, &tgid);
	scratch = MAP_GET(oom_scratches, &mine);
	if (!scratch)
		return 0;
	tell_kill(scratch, victim, MT_OOM_KERNEL, killer);
	tell_cause(scratch, victim);
	group = MAP_GET(oom_groups, &killer);
	scratch->sought[0] = (__u64)victim;
	scratch->sought[1] = leader;
	scratch->sought[2] = group ? group->target : leader;
	find_places(scratch);
	if (find_control(scratch, (__u64)victim, leader))
		group = 0;
	else if (group && !find_control(scratch, group->target, group->target))
		group = 0; /* else the whole cgroup of the group's first victim is killed */
	join_group(&scratch->record, group, group ? group->target : leader);
	send_kill(&scratch->record);
	return 0;
}

/* Only a write() makes the kernel send such a signal without a sender's name. */
MT_INLINE bool is_write(long call)
{
	return call == 1 || call == 18 || call == 20 || call == 328;
}

/* By name; anybody may choose one, so that of a process in a container counts for nothing. */
MT_INLINE bool is_daemon(struct task_struct *task)
{
	struct oom_name name = {};

	bpf_get_current_comm(name.comm, sizeof(name.comm));
	if (!MAP_GET(oom_daemons, &name))
		return false;
	return SREAD2((struct task_struct___oom *)task, thread_pid, level) == 0;
}

/* Which of the victim's cgroups has this directory; on a hybrid host none. */
MT_INLINE void tell_target(struct oom_scratch *scratch, __u64 directory)
{
	struct mem_cgroup *memcg;
	__u32 at;

	tell_state(scratch->record.cause.state, scratch->chain[0]);
#pragma unroll 1
	for (at = 0; at < MT_OOM_LEVELS && scratch->chain[at]; at++) {
		memcg = (struct mem_cgroup *)scratch->chain[at];
		if ((__u64)SREAD2(memcg, css.cgroup, kn) != directory)
			continue;
		scratch->record.cause.cgroup = scratch->record.levels[at].cgroup;
		tell_state(scratch->record.cause.state, scratch->chain[at]);
		return;
	}
}

MT_INLINE void user_kill(struct task_struct *victim, __u32 how, __u64 target)
{
	__u64 killer = bpf_get_current_pid_tgid();
	struct oom_group *group = MAP_GET(oom_groups, &killer);
	struct oom_scratch *scratch;
	__u32 mine = MT_SIGNALS;

	scratch = MAP_GET(oom_scratches, &mine);
	if (!scratch || !SREAD((struct task_struct___oom *)victim, mm))
		return;
	tell_kill(scratch, victim, how, killer);
	if (group &&
	    (group->target != target || scratch->record.kill.boot_ns - group->last > MT_GROUP_NS))
		group = 0;
	tell_cause(scratch, victim);
	tell_target(scratch, target);
	join_group(&scratch->record, group, target);
	send_kill(&scratch->record);
}

MT_INLINE void user_signal(struct task_struct *victim, bool anonymous)
{
	struct task_struct *task = current_task();
	struct mem_cgroup *memcg;
	__u64 directory;

	if (anonymous && is_write(current_syscall(task))) {
		directory = (__u64)kernfs_directory(task, current_syscall_arg0(task));
		user_kill(victim, MT_OOM_CGROUP_KILL, directory);
	} else if (is_daemon(task)) {
		memcg = task_memcg(victim);
		user_kill(victim, MT_OOM_DAEMON, (__u64)SREAD2(memcg, css.cgroup, kn));
	}
}

PROBE(signal_generate)
{
	__u64 number = ARG(ctx, 0), result = ARG(ctx, 4), info = 0;
	struct task_struct *victim;
	__u64 tgid, killer;

	if ((__u32)number != SIGKILL && (__u32)number != SIGTERM)
		return 0;
	victim = (struct task_struct *)ARG(ctx, 2);
	/* The verifier takes it for a pointer that is never NULL, and would drop what follows. */
	bpf_probe_read_kernel(&info, sizeof(info), &ctx[1]);
	if ((__u32)number == SIGKILL && info == SEND_SIG_PRIV) {
		tgid = SREAD(victim, tgid);
		killer = bpf_get_current_pid_tgid();
		MAP_SET(oom_signalled, &tgid, &killer);
		return 0;
	}
	if (!result) /* else ignored, or pending already */
		user_signal(victim, (__u32)number == SIGKILL && info == SEND_SIG_NOINFO);
	return 0;
}

/* For learning the kernel's order: the state of the cgroup whose directory is open as fd. */
COMMAND(read_state)
{
	struct file *file = current_file(current_task(), ARG(ctx, 0));
	struct mem_cgroup *memcg = file ? directory_memcg(file) : 0;
	struct oom_state *answer;
	__u32 zero = 0;

	answer = MAP_GET(oom_state, &zero);
	if (!answer || !memcg)
		return 1;
	tell_state(answer->state, (__u64)memcg);
	return 0;
}

LICENSE("Dual BSD/GPL");
