// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (a map and a constant of 64 bits)
/*
 * referee.bpf.c: the kernel's own count of one cgroup's page cache, without memory.stat's lag.
 *
 * Every change of a cgroup's statistics passes tracepoint mod_memcg_lruvec_state, before
 * it is collected per CPU. Here the changes of two items are summed up for one cgroup.
 * The tracepoint fires several times for every page of any file on the machine: attach
 * only while something is being verified.
 */
#include "engine.h"
#include "types.h"

const volatile __u64 cfg_watched = 0; /* id of the cgroup */

/* Pages added minus pages removed since it was attached: file (shmem included), shmem. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __s64);
} net_pages SEC(".maps");

PROBE(mod_memcg_lruvec_state)
{
	struct mem_cgroup *memcg = (struct mem_cgroup *)ARG(ctx, 0);
	int item = (int)ARG(ctx, 1);
	__u32 place;
	__s64 *net;

	if (item == KENUM(node_stat_item, NR_FILE_PAGES))
		place = 0;
	else if (item == KENUM(node_stat_item, NR_SHMEM))
		place = 1;
	else
		return 0;
	if (memcg->css.cgroup->kn->id != cfg_watched)
		return 0;
	net = MAP_GET(net_pages, &place);
	if (net)
		__sync_fetch_and_add(net, (__s64)(int)ARG(ctx, 2));
	return 0;
}

LICENSE("Dual BSD/GPL");
