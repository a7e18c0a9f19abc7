"""Compiles BPF programs with the system's BCC and prints their bytecode. A program of its own.

Runs under the system's Python, where the package python3-bpfcc is, and imports nothing of
memtrace. BCC and LLVM, 110 MB, end with it. Loads nothing into the kernel.

stdin: JSON {text, flags, types}; stdout: what clang says and, as the last line, JSON
{function: bytecode in hex}. `types`: text whose types are taken from the kernel's BTF; null: they
come from its headers.
"""

import ctypes
import json
import os
import re
import sys
import tempfile
from pathlib import Path

# What BCC includes of a kernel's source tree, whose types are all in one header here.
EMPTY = (
    *("arch/x86/include/asm/page.h", "arch/arm64/include/asm/page.h"),
    *(f"include/linux/{name}.h" for name in ("bpf", "bpf_common", "log2", "types", "version")),
    *(
        f"include/uapi/linux/{name}.h"
        for name in ("bpf", "if_ether", "if_packet", "in", "ip", "ipv6", "tcp", "udp")
    ),
)
# BCC puts kconfig.h before everything else.
KCONFIG = """\
#define CONFIG_BPF_SYSCALL
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 8, 0)
#include "memtrace_btf.h"
#define __aligned_u64 __u64 __attribute__((aligned(8)))
enum { false, true };
"""
# What BCC's own headers name, besides what the programs do; it brings linux/bpf.h itself.
TYPES = {
    4: ("pt_regs",),
    6: ("pageflags", "cgroup_subsys_id"),
    8: (
        *("__u8", "__u16", "__u32", "__u64", "__s64", "__s32", "__s16", "__s8"),
        *("u8", "u16", "u32", "u64", "s64", "s32", "bool", "uintptr_t"),
        *("__be16", "__be32", "__wsum"),
    ),
}
WITHOUT_BCC = 3  # exit code
_PADDING = re.compile(r"^\t+(long: 64|int: 32|short: 16|char: 8);$", re.MULTILINE)
# Names of the kernel's own types: one that it does not have is looked for among all 100,000.
_STRUCTS = re.compile(r"\bstruct (?!mt_)((?:(?!___)\w)+)\b")
_ENUMS = re.compile(r"\benum (?!mt_)((?:(?!___)\w)+)\b")
_CLONE_NEWNS = 0x20000
_BIND, _PRIVATE = 0x1000, 0x44000  # MS_BIND; MS_REC | MS_PRIVATE


def write_types(path: Path, text: str) -> None:
    """Write the kernel's types that a program names, and all they need, as C."""
    libbpf, libc = ctypes.CDLL("libbpf.so.1"), ctypes.CDLL(None)
    for function in (libbpf.btf__load_vmlinux_btf, libbpf.btf_dump__new, libc.fopen):
        function.restype = ctypes.c_void_p
    btf = ctypes.c_void_p(libbpf.btf__load_vmlinux_btf())
    file = ctypes.c_void_p(libc.fopen(os.fsencode(path), b"w"))
    if not btf or not file:
        sys.exit("the kernel's BTF cannot be read")
    # libbpf prints through a function of vfprintf's own shape.
    printf = ctypes.cast(libc.vfprintf, ctypes.c_void_p)
    dump = ctypes.c_void_p(libbpf.btf_dump__new(btf, printf, file, None))
    sizes = []
    named = {4: set(_STRUCTS.findall(text)), 6: set(_ENUMS.findall(text))}
    for kind, names in TYPES.items():
        for name in sorted({*names, *named.get(kind, ())}):
            found = libbpf.btf__find_by_name_kind(btf, name.encode(), kind)
            if found > 0:
                libbpf.btf_dump__dump_type(dump, found)
            if found > 0 and kind == 4:
                sizes.append((name, libbpf.btf__resolve_size(btf, found)))
    libc.fclose(file)
    types = _PADDING.sub(_named_padding, path.read_text())
    checks = (
        f'_Static_assert(sizeof(struct {name}) == {size}, "struct {name}");' for name, size in sizes
    )
    path.write_text("\n".join((types, *checks, "")))


def _named_padding(found: re.Match[str]) -> str:
    """A member instead of a bit field without a name: BCC gets several of those in a row wrong."""
    return f"\t{found[1].partition(':')[0]} mt_padding_{found.start()};"


def write_tree(root: Path, text: str) -> None:
    """Write a kernel source tree, just real enough for BCC."""
    for name in EMPTY:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "include/linux/kconfig.h").write_text(KCONFIG)
    write_types(root / "include/memtrace_btf.h", text)


def shorten_kallsyms(directory: Path) -> None:
    """Show this process alone a list of one kernel symbol, where it may; else nothing happens.

    BCC reads all 200,000, a quarter of its time, to learn whether this one is among them.
    """
    libc = ctypes.CDLL(None)
    short = directory / "kallsyms"
    short.write_text("ffffffff81000000 T bpf_probe_read_kernel\n")
    if libc.unshare(_CLONE_NEWNS) == 0 and libc.mount(None, b"/", None, _PRIVATE, None) == 0:
        libc.mount(os.fsencode(short), b"/proc/kallsyms", None, _BIND, None)


def compiled(text: str, flags: list[str]) -> dict[str, str]:
    """Every function's bytecode. Ends the process when BCC is not there or does not compile it."""
    try:
        from bcc import lib  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        print(error)
        sys.exit(WITHOUT_BCC)
    array = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    module = lib.bpf_module_create_c_from_string(text.encode(), 0, array, len(flags), False, None)
    if not module:
        sys.exit("the programs do not compile")
    names = [lib.bpf_function_name(module, at) for at in range(lib.bpf_num_functions(module))]
    return {
        name.decode(): ctypes.string_at(
            lib.bpf_function_start(module, name), lib.bpf_function_size(module, name)
        ).hex()
        for name in names
    }


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="memtrace-") as name:
        if request["types"]:
            write_tree(Path(name), request["types"])
            os.environ["BCC_KERNEL_SOURCE"] = name
        shorten_kallsyms(Path(name))
        answer = json.dumps(compiled(request["text"], request["flags"]))
    print(f"\n{answer}", flush=True)
    os._exit(0)  # freeing what LLVM has takes longer than ending


if __name__ == "__main__":
    main()
