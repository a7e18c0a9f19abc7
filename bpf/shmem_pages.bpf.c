// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (BCC compiles shmem.bpf.c for the kernel it runs on)
/*
 * shmem_pages.bpf.c: shmem.bpf.c for kernels before Linux 6.1. Only how things are read
 * differs; see MEMTRACE_PAGES in engine.h and kernel.h.
 */
#define MEMTRACE_PAGES
#include "../shmem.bpf.c"
