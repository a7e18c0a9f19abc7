// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (uprobes)
/*
 * go_gc.bpf.c: garbage collections of Go programs, one record for each that ended. Attached
 * to five functions of the Go runtime in each binary that is followed; the cookie says which
 * function of which binary. Reads the program's memory, never writes to it.
 *
 * A collection stops the world twice: the first stop holds startCycle, the last one endCycle
 * and resetLive; at the end of both finishGCTransition is told when, on the same clock as here.
 * Other stops (ReadMemStats, GOMAXPROCS, a collection that had to mark on) are no part of a
 * record. A collection whose beginning was not seen is not told, and one of a file that is
 * followed twice is told once.
 */
#include "engine.h"
#include "go_abi.h"
#include "kernel.h"
#include "wire.h"

#define GO_PROCESSES 8192

/* What a stop of the world is for, as far as it is known. */
#define FOR_BEGIN 1
#define FOR_END 2

struct go_running {
	__u64 stopped; /* when the world was stopped last; these are of CLOCK_MONOTONIC */
	__u64 begun;
	__u64 pause; /* the first one */
	__u64 marked;
	__u64 controller;
	__u32 trigger;
	__u32 procs;
	__u32 purpose;
	__u32 binary; /* as whose it began */
};

MT_RING(go_cycles, 256 * 1024);
MT_ARRAY(go_lost, __u64, MT_GO_LOSSES);
/* Processes by what they did since their last collection: tgid, start << 32. */
MT_HASH(go_running, __u64, struct go_running, GO_PROCESSES);
MT_HASH(go_binaries, __u32, struct mt_go_times, 4096);

MT_INLINE __u64 process_of(struct task_struct *task)
{
	return KREAD(task, tgid) | (__u64)task_start(task) << 32;
}

MT_INLINE void lose(__u32 what)
{
	__u64 *lost = MAP_GET(go_lost, &what);

	if (lost)
		__sync_fetch_and_add(lost, 1);
}

MT_INLINE void stop(__u64 process)
{
	struct go_running *running = MAP_GET(go_running, &process);
	struct go_running first = {.stopped = bpf_ktime_get_ns()};

	if (running) {
		running->stopped = first.stopped;
		running->purpose = 0;
	} else if (MAP_ADD(go_running, &process, &first) != 0) {
		lose(MT_GO_LOST_PROCESS);
	}
}

MT_INLINE __u64 time_of(const struct go_running *running, __u32 offset)
{
	__u64 nanoseconds = MT_UNTOLD;

	if (!offset || bpf_probe_read_user(&nanoseconds, sizeof(nanoseconds),
					   (void *)(running->controller + offset)))
		return MT_UNTOLD;
	return nanoseconds;
}

/* The runtime's own account of who marked for how long is complete while the world is stopped. */
MT_INLINE void tell_times(struct mt_go_cycle *cycle, const struct go_running *running)
{
	struct mt_go_times *at = MAP_GET(go_binaries, &cycle->binary);
	struct mt_go_times none = {};

	if (!at)
		at = &none;
	cycle->assist_ns = time_of(running, at->assist);
	cycle->dedicated_ns = time_of(running, at->dedicated);
	cycle->fractional_ns = time_of(running, at->fractional);
	cycle->idle_ns = time_of(running, at->idle);
}

MT_INLINE void tell(struct task_struct *task, const struct go_running *running, __u64 now)
{
	struct mt_go_cycle cycle = {};

	cycle.tgid = KREAD(task, tgid);
	cycle.start = task_start(task);
	cycle.cgroup = task_memcg_id(task);
	cycle.begun_ns = running->begun;
	cycle.ended_ns = now;
	cycle.first_pause_ns = running->pause;
	cycle.last_pause_ns = now - running->stopped;
	cycle.marked_bytes = running->marked;
	cycle.controller = running->controller;
	cycle.trigger = running->trigger;
	cycle.procs = running->procs;
	cycle.binary = running->binary;
	tell_times(&cycle, running);
	if (RING_OUTPUT(go_cycles, &cycle, sizeof(cycle), BPF_RB_NO_WAKEUP))
		lose(MT_GO_LOST_RING);
}

/* The moment the runtime took: what is no such moment is not believed. */
MT_INLINE __u64 told_moment(const struct go_running *running, __u64 told)
{
	__u64 now = bpf_ktime_get_ns();

	return told >= running->stopped && told <= now ? told : now;
}

MT_INLINE void finish(struct task_struct *task, __u64 process, struct go_registers *registers,
		      __u32 binary)
{
	struct go_running *running = MAP_GET(go_running, &process);
	__u64 now;

	if (!running || !running->begun || running->binary != binary)
		return;
	now = told_moment(running, GO_ARG1(registers));
	if (running->purpose == FOR_BEGIN)
		running->pause = now - running->stopped;
	if (running->purpose != FOR_END)
		return;
	tell(task, running, now);
	MAP_DELETE(go_running, &process);
}

MT_INLINE void begin(__u64 process, struct go_registers *registers, __u32 binary)
{
	struct go_running *running = MAP_GET(go_running, &process);

	if (!running)
		return;
	running->begun = running->stopped;
	running->purpose = FOR_BEGIN;
	running->binary = binary;
	running->controller = GO_ARG0(registers);
	running->procs = GO_ARG2(registers);
	running->trigger = GO_ARG3(registers);
	running->marked = MT_UNTOLD;
}

SEC("uprobe")
int on_go_runtime(struct go_registers *registers)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 cookie = bpf_get_attach_cookie(registers);
	__u64 process = process_of(task);
	__u32 binary = cookie >> MT_GO_POINT_BITS;
	struct go_running *running;

	switch (cookie & MT_GO_POINT_MASK) {
	case MT_GO_STOP: stop(process); return 0;
	case MT_GO_FINISH: finish(task, process, registers, binary); return 0;
	case MT_GO_BEGIN: begin(process, registers, binary); return 0;
	}
	running = MAP_GET(go_running, &process);
	if (!running)
		return 0;
	if ((cookie & MT_GO_POINT_MASK) == MT_GO_END)
		running->purpose = FOR_END;
	else
		running->marked = GO_ARG1(registers);
	return 0;
}

/* A process that ends, or is killed, in the middle of it. */
PROBE(sched_process_exit)
{
	struct task_struct *task = (struct task_struct *)ARG(ctx, 0);
	struct signal_struct *signal = KREAD(task, signal);
	__u64 process = process_of(task);

	if (KREAD(signal, live.counter) == 0)
		MAP_DELETE(go_running, &process);
	return 0;
}

LICENSE("Dual BSD/GPL");
