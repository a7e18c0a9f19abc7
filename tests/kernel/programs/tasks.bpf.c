// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* An iterator over tasks: one line of three bytes for each thread of `tgid`. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct {
	int tgid;
};
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
#pragma clang attribute pop

const volatile int tgid;

SEC("iter/task")
int threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->tgid == tgid)
		bpf_seq_write(ctx->meta->seq, "one", 3);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
