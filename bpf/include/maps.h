/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * maps.h: the maps that several programs share. The first object loaded creates
 * them, the others reuse them by name.
 */
#ifndef MEMTRACE_MAPS_H
#define MEMTRACE_MAPS_H

#include "engine.h"
#include "wire.h"

/* Paths, process names, cgroups coming and going. Drained on a timer. */
MT_RING(events, 1024 * 1024); /* mapped twice into the agent: costs it 2 MB of RSS */

/* What could not be kept, by enum mt_loss. */
MT_ARRAY(losses, __u64, MT_LOSSES);

MT_INLINE void count_loss(__u32 where, __u64 amount)
{
	__u64 *lost = MAP_GET(losses, &where);

	if (lost)
		__sync_fetch_and_add(lost, amount);
}

/* Wake the agent when a good part of the ring is used, not before: a wakeup costs 8 us. */
#define MT_WAKE_BYTES (256 * 1024)

MT_INLINE bool send_event_with(void *event, __u64 bytes, __u32 loss, __u64 flags)
{
	if (RING_OUTPUT(events, event, bytes, flags) == 0)
		return true;
	count_loss(loss, 1);
	return false;
}

MT_INLINE bool send_event(void *event, __u64 bytes, __u32 loss)
{
	__u64 waiting = bpf_ringbuf_query(MAP(events), BPF_RB_AVAIL_DATA_QUERY);
	__u64 flags = waiting > MT_WAKE_BYTES ? BPF_RB_FORCE_WAKEUP_FLAG : BPF_RB_NO_WAKEUP_FLAG;

	return send_event_with(event, bytes, loss, flags);
}

/* For what the agent must look at while it is there. */
MT_INLINE bool send_event_now(void *event, __u64 bytes, __u32 loss)
{
	return send_event_with(event, bytes, loss, BPF_RB_FORCE_WAKEUP_FLAG);
}

#endif
