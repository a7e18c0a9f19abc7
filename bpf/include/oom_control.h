/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * oom_control.h: which cgroup was out of memory, out of the oom_control on the stack of
 * whoever ran into it.
 */
#ifndef MEMTRACE_OOM_CONTROL_H
#define MEMTRACE_OOM_CONTROL_H

#include "oom_record.h"

#define MT_STACK_WORDS (16384 / 8) /* THREAD_SIZE of x86-64 and of most arm64 */

/*
 * Whether an oom_control is where its member `chosen` would be at this address: its cgroup is
 * one of the victim's, or none and then it has a list of zones.
 */
MT_INLINE bool tell_control(struct oom_scratch *scratch, __u64 address)
{
	struct mt_oom_cause *cause = &scratch->record.cause;
	struct oom_control *control;
	__u64 memcg, pages;
	__u32 at;
	int order;

	control = (struct oom_control *)(address -
					 bpf_core_field_offset(((struct oom_control *)0)->chosen));
	memcg = (__u64)BPF_CORE_READ(control, memcg);
	pages = BPF_CORE_READ(control, totalpages);
	order = BPF_CORE_READ(control, order);
	if (!pages || pages >> 50 || order < -1 || order > 20)
		return false;
	cause->total_pages = pages;
	cause->order = order;
	cause->gfp_mask = BPF_CORE_READ(control, gfp_mask);
	if (!memcg) {
		cause->cgroup = MT_NO_CGROUP;
		return (__u64)BPF_CORE_READ(control, zonelist) >> 56 == 0xff;
	}
#pragma unroll 1
	for (at = 0; at < MT_OOM_LEVELS; at++) {
		if (scratch->chain[at] != memcg)
			continue;
		cause->cgroup = scratch->record.levels[at].cgroup;
		tell_state(cause->state, memcg);
		return true;
	}
	return false;
}

/* One word of the stack, from the top down. State is in a map, as in baseline.bpf.c. */
static long look_at_word(__u32 index, void *MT_UNUSED(context))
{
	__u32 mine = MT_KERNELS_KILLER;
	struct oom_scratch *scratch = MAP_GET(oom_scratches, &mine);
	__u64 address, word;

	if (!scratch)
		return 1;
	address = scratch->top - 8 * (index + 1);
	if (bpf_probe_read_kernel(&word, sizeof(word), (void *)address))
		return 1;
	if (word != scratch->sought[0] && word != scratch->sought[1])
		return 0;
	scratch->found = tell_control(scratch, address);
	return scratch->found;
}

/* Looks for the oom_control whose chosen task is this one, or its leader. */
MT_INLINE bool find_control(struct oom_scratch *scratch, __u64 chosen, __u64 leader)
{
	scratch->top = (__u64)bpf_task_pt_regs(bpf_get_current_task_btf());
	scratch->sought[0] = chosen;
	scratch->sought[1] = leader;
	scratch->found = 0;
	bpf_loop(MT_STACK_WORDS, look_at_word, 0, 0);
	return scratch->found;
}

#endif
