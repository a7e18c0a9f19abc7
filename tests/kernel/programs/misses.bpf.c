// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program that runs into itself: a bad read inside it raises the tracepoint it sits on. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NOWHERE 0xffffea7fffff0000ull

static __always_inline void stumble(void)
{
	long value;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)NOWHERE);
}

SEC("tp_btf/page_fault_kernel")
int fall(unsigned long long *ctx)
{
	if (ctx[0] == NOWHERE) /* other people's faults are none of ours */
		stumble();
	return 0;
}

SEC("raw_tp")
int push(void *ctx)
{
	stumble();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
