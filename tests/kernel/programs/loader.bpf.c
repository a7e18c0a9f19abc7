// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One small program of each kind the loader handles. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile long watched_syscall = -1;
const volatile __u32 factor = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} visits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} more_events SEC(".maps");

static __always_inline void count(__u32 who, long syscall)
{
	__u64 *calls_seen = bpf_map_lookup_elem(&calls, &who);

	if (calls_seen && syscall == watched_syscall)
		__sync_fetch_and_add(calls_seen, 1);
}

SEC("tp_btf/sys_enter")
int count_typed(unsigned long long *ctx)
{
	count(0, ctx[1]);
	return 0;
}

SEC("raw_tp/sys_enter")
int count_raw(struct bpf_raw_tracepoint_args *ctx)
{
	count(1, ctx->args[1]);
	return 0;
}

SEC("raw_tp/sys_exit")
int visit(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 zero = 0;
	__u32 *visited = bpf_map_lookup_elem(&visits, &zero);

	if (visited)
		*visited += bpf_get_smp_processor_id() + 1;
	return ctx->args[0] * factor;
}

SEC("raw_tp")
int negative(void *ctx)
{
	return -7;
}

struct sum {
	__u32 first;
	__u32 second;
	__u64 result;
};

SEC("syscall")
int add(struct sum *sum)
{
	sum->result = (__u64)sum->first + sum->second;
	return factor;
}

struct burst {
	__u64 first;
	__u32 count;
	__u32 lost;
};

SEC("syscall")
int emit(struct burst *burst)
{
	for (int i = 0; i < 1000; i++) {
		__u64 number = burst->first + i;

		if (i >= burst->count)
			break;
		if (bpf_ringbuf_output(&events, &number, sizeof(number), 0))
			burst->lost++;
	}
	return 0;
}

SEC("syscall")
int emit_more(struct burst *burst)
{
	struct burst copy = *burst;

	bpf_ringbuf_output(&more_events, &copy, sizeof(copy), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
