/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * go_abi.h: where Go's internal calling convention (since Go 1.17) has the integer arguments
 * of a function at its entry, on each machine. libbpf only.
 */
#ifndef MEMTRACE_GO_ABI_H
#define MEMTRACE_GO_ABI_H

#include "types.h"

#ifdef __TARGET_ARCH_arm64
struct mt_registers { /* how user_pt_regs begins */
	unsigned long regs[31];
};

#define GO_ARG(registers, number) (((struct mt_registers *)(registers))->regs[number])
#define GO_ARG0(registers) GO_ARG(registers, 0)
#define GO_ARG1(registers) GO_ARG(registers, 1)
#define GO_ARG2(registers) GO_ARG(registers, 2)
#define GO_ARG3(registers) GO_ARG(registers, 3)
#else
#define GO_ARG0(registers) ((registers)->ax)
#define GO_ARG1(registers) ((registers)->bx)
#define GO_ARG2(registers) ((registers)->cx)
#define GO_ARG3(registers) ((registers)->di)
#endif

#endif
