// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Two programs no kernel takes: one unsafe, one that reads a field that does not exist. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

SEC("raw_tp/sys_enter")
int unsafe(void *ctx)
{
	__u32 zero = 0;
	__u64 *number = bpf_map_lookup_elem(&numbers, &zero);

	return *number; /* never checked */
}

struct task_struct {
	long no_such_field;
} __attribute__((preserve_access_index));

SEC("raw_tp/sys_exit")
int impossible(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, no_such_field);
}

char LICENSE[] SEC("license") = "GPL";
