/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * go_abi.h: where Go's internal calling convention (since Go 1.17) has the integer arguments
 * of a function at its entry, on each machine. libbpf only.
 */
#ifndef MEMTRACE_GO_ABI_H
#define MEMTRACE_GO_ABI_H

#include "types.h"

#ifdef __TARGET_ARCH_arm64

struct go_registers { /* how user_pt_regs begins */
	unsigned long arguments[4];
};

#define GO_ARG0(registers) ((registers)->arguments[0])
#define GO_ARG1(registers) ((registers)->arguments[1])
#define GO_ARG2(registers) ((registers)->arguments[2])
#define GO_ARG3(registers) ((registers)->arguments[3])

#else

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___go {
	unsigned long ax;
	unsigned long bx;
	unsigned long cx;
	unsigned long di;
};

#pragma clang attribute pop

#define go_registers pt_regs___go
#define GO_ARG0(registers) ((registers)->ax)
#define GO_ARG1(registers) ((registers)->bx)
#define GO_ARG2(registers) ((registers)->cx)
#define GO_ARG3(registers) ((registers)->di)

#endif

#endif
