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
	zone = (__u64)SREAD(list, _zonerefs[0].zone);
	return is_pointer(zone) && (__u32)SREAD(list, _zonerefs[0].zone_idx) < MT_MOST_ZONES;
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

	control = (struct oom_control *)(address - MT_OFFSET(oom_control, chosen));
	memcg = (__u64)SREAD(control, memcg);
	pages = SREAD(control, totalpages);
	order = SREAD(control, order);
	constraint = SREAD(control, constraint);
	if (!pages || pages >> 50 || order < -1 || order > 20 || constraint > CONSTRAINT_MEMCG ||
	    (constraint == CONSTRAINT_MEMCG) != !!memcg)
		return false;
	if (!memcg) {
		if (!is_zonelist(SREAD(control, zonelist)))
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
	cause->gfp_mask = SREAD(control, gfp_mask);
	return true;
}

/* 1, or 0 for the same; in arithmetic that the compiler cannot make a jump of. */
MT_INLINE __u64 differs(__u64 word, __u64 other)
{
	__u64 more, less;

	more = word - other;
	less = other - word;
	asm volatile("" : "+r"(more), "+r"(less));
	return (more | less) >> 63;
}

/* One word of the stack, from the top down. State is in a map, as in baseline.bpf.c. */
MT_INLINE void note_place(struct oom_scratch *scratch, __u32 index)
{
	__u64 at, word, other, address = scratch->top - 8 * (index + 1);

	bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
	/*
	 * Without a jump: the verifier follows 8192 of them, and that of 6.1 takes no loop whose
	 * last part is laid out before its first. find_control looks closer.
	 */
	other = differs(word, scratch->sought[0]) & differs(word, scratch->sought[1]) &
		differs(word, scratch->sought[2]);
	at = scratch->found;
	scratch->places[at & (MT_PLACES - 1)] = address;
	scratch->found = at + 1 - other;
}

#ifndef MEMTRACE_BCC
static long look_at_word(__u32 index, void *MT_UNUSED(context))
{
	__u32 mine = MT_KERNELS_KILLER;
	struct oom_scratch *scratch = MAP_GET(oom_scratches, &mine);

	if (!scratch)
		return 1;
	note_place(scratch, index);
	return 0;
}
#endif

/*
 * Notes where on the stack of current one of the sought addresses is. To judge a place while
 * looking for the next one is too much for the verifier, where there is no bpf_loop.
 */
MT_INLINE void find_places(struct oom_scratch *scratch)
{
	scratch->top = (__u64)user_registers(current_task());
	scratch->found = 0;
#ifndef MEMTRACE_BCC
	bpf_loop(MT_STACK_WORDS, look_at_word, 0, 0);
#else
	__u32 index;

#pragma unroll 1
	for (index = 0; index < MT_STACK_WORDS; index++)
		note_place(scratch, index);
#endif
}

/* Looks there for the oom_control whose chosen task is this one, or its leader. */
MT_INLINE bool find_control(struct oom_scratch *scratch, __u64 chosen, __u64 leader)
{
	__u64 address, word;
	__u32 at;

#pragma unroll 1
	for (at = 0; at < MT_PLACES && at < scratch->found; at++) {
		address = scratch->places[at];
		bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
		if ((word == chosen || word == leader) && tell_control(scratch, address))
			return true;
	}
	return false;
}

#endif
