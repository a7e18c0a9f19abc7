// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (BCC compiles page_cache.bpf.c for the kernel it runs on)
/*
 * page_cache_pages.bpf.c: page_cache.bpf.c for kernels before Linux 6.1. Only how things
 * are read differs; see MEMTRACE_PAGES in engine.h and kernel.h.
 */
#define MEMTRACE_PAGES
#include "../page_cache.bpf.c"
