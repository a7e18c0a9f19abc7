"""A kernel source tree made of BTF, just real enough for BCC to compile against.

BCC wants kernel headers. Where there are none, every type comes from the running
kernel's BTF, printed as C by bpftool, and the ~15 headers BCC includes are empty.
Does not run BCC: see bcc_compile.py.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

VMLINUX_BTF = Path("/sys/kernel/btf/vmlinux")

# Everything that BCC's own preamble includes, and what shared programs may include.
EMPTY_HEADERS = (
    "arch/x86/include/asm/page.h",
    "include/linux/bpf.h",
    "include/linux/log2.h",
    "include/linux/types.h",
    "include/linux/version.h",
    "include/uapi/linux/bpf.h",
    "include/uapi/linux/if_ether.h",
    "include/uapi/linux/if_packet.h",
    "include/uapi/linux/in.h",
    "include/uapi/linux/ip.h",
    "include/uapi/linux/ipv6.h",
    "include/uapi/linux/tcp.h",
    "include/uapi/linux/udp.h",
)

# BCC puts kconfig.h before everything else. The guards keep out its own copy of
# linux/bpf.h, whose enums BTF has as well.
KCONFIG = """\
#define __LINUX_BPF_H__
#define _UAPI__LINUX_BPF_H__
#define CONFIG_BPF_SYSCALL
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 8, 0)
#include "memtrace_btf.h"
"""


class BtfHeader:
    """The kernel's types as C, and the questions the agent asks about them."""

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def of_running_kernel(cls) -> BtfHeader:
        """Every type of the running kernel; about 3 MB, in 0.2 s."""
        command = ["bpftool", "btf", "dump", "file", str(VMLINUX_BTF), "format", "c"]
        dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return cls(without_relocations(dump))

    def enumerator(self, name: str) -> int:
        """The value of an enumerator; KeyError when this kernel does not have it."""
        found = re.search(rf"^\t{re.escape(name)} = (-?\d+),$", self.text, re.MULTILINE)
        if found is None:
            raise KeyError(name)
        return int(found[1])

    def has_member(self, struct: str, member: str) -> bool:
        """Whether a structure has a member, itself or in an unnamed part of it."""
        body = re.search(rf"^struct {re.escape(struct)} {{\n(.*?)^}}", self.text, re.M | re.S)
        return body is not None and bool(re.search(rf"\W{re.escape(member)}\b[^;\n]*;", body[1]))


def without_relocations(dump: str) -> str:
    """Drop the CO-RE attribute: BCC compiles for this kernel and relocates nothing."""
    pragma = r"^#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n.*?^#endif\n"
    return re.sub(pragma, "", dump, flags=re.MULTILINE | re.DOTALL)


def write_tree(root: Path, header: BtfHeader) -> Path:
    """Write the tree below `root`, which becomes BCC_KERNEL_SOURCE."""
    files = dict.fromkeys(EMPTY_HEADERS, "")
    files["include/linux/kconfig.h"] = KCONFIG
    files["include/memtrace_btf.h"] = header.text
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
