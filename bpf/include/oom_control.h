/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * oom_control.h: which cgroup was out of memory, out of the oom_control on the stack of
 * whoever ran into it.
 */
#ifndef MEMTRACE_OOM_CONTROL_H
#define MEMTRACE_OOM_CONTROL_H

#include "oom_record.h"

#define MT_STACK_WORDS (16384 / 8) /* THREAD_SIZE of x86-64 and of most arm64 */

#define MT_MOST_ZONES 6

/* Words of the kernel's that look like pointers into it. */
MT_INLINE bool is_pointer(__u64 word)
{
	return word >> 56 == 0xff;
}

/* Whether this is the list of zones of a machine that ran out of memory. */
MT_INLINE bool is_zonelist(struct zonelist *list)
{
	__u64 zone;

	if (!is_pointer((__u64)list))
		return false;
	zone = (__u64)BPF_CORE_READ(list, _zonerefs[0].zone);
	return is_pointer(zone) &&
	       (__u32)BPF_CORE_READ(list, _zonerefs[0].zone_idx) < MT_MOST_ZONES;
}

/* Where in the victim's chain of cgroups this one is; MT_OOM_LEVELS: nowhere. */
MT_INLINE __u32 level_of(struct oom_scratch *scratch, __u64 memcg)
{
	__u32 at;

#pragma unroll 1
	for (at = 0; at < MT_OOM_LEVELS; at++)
		if (scratch->chain[at] == memcg)
			break;
	return at;
}

/*
 * Whether an oom_control is where its member `chosen` would be at this address. Whoever is killed
 * for what it asked for itself is on its stack more than once: so everything has to fit. A cgroup
 * that was out of memory is one of the victim's; a machine has none and a list of zones.
 */
MT_INLINE bool tell_control(struct oom_scratch *scratch, __u64 address)
{
	struct mt_oom_cause *cause = &scratch->record.cause;
	struct oom_control *control;
	__u32 at, constraint;
	__u64 memcg, pages;
	int order;

	control = (struct oom_control *)(address -
					 bpf_core_field_offset(((struct oom_control *)0)->chosen));
	memcg = (__u64)BPF_CORE_READ(control, memcg);
	pages = BPF_CORE_READ(control, totalpages);
	order = BPF_CORE_READ(control, order);
	constraint = BPF_CORE_READ(control, constraint);
	if (!pages || pages >> 50 || order < -1 || order > 20 || constraint > CONSTRAINT_MEMCG ||
	    (constraint == CONSTRAINT_MEMCG) != !!memcg)
		return false;
	if (!memcg) {
		if (!is_zonelist(BPF_CORE_READ(control, zonelist)))
			return false;
		cause->cgroup = MT_NO_CGROUP;
	} else {
		at = level_of(scratch, memcg);
		if (at >= MT_OOM_LEVELS)
			return false;
		cause->cgroup = scratch->record.levels[at].cgroup;
		tell_state(cause->state, memcg);
	}
	cause->total_pages = pages;
	cause->order = order;
	cause->gfp_mask = BPF_CORE_READ(control, gfp_mask);
	return true;
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
