"""The second engine on other kernels: it says what the first says, and needs no BTF.

Has a module of its own for what a guest needs for BCC: LLVM, 200 MB.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.outcomes import unavailable
from tests.vm.conftest import ALL
from tests.vm.guests import Guests, Report
from tests.vm.harness import GuestResult, run_guest
from tests.vm.initramfs import library, linked_libraries
from tests.vm.kernels import KERNELS, GuestKernel, KernelUnavailable, fetch, fetch_headers

HERE = Path(__file__).parent
PACKAGE = Path("/usr/lib/python3/dist-packages/bcc")
SECONDS = 1500  # LLVM runs three times in each guest; 250 when nothing else runs here
pytestmark = pytest.mark.timeout(SECONDS + 60)
MORE = [("6.12", "alike"), ("6.1", "headers")] if ALL else []
BOOTS = [("6.1", "alike"), *MORE]
SUBJECTS = {"alike": ("alike", "kill"), "headers": ("headers",)}
CASES = [(boot, subject) for boot in BOOTS for subject in SUBJECTS[boot[1]]]
IDS = ["-".join((*boot, subject)) for boot, subject in CASES]

GUESTS = {boot: Guests() for boot in BOOTS}


def bcc_files() -> dict[str, Path | bytes]:
    """Debian's BCC for the system's Python."""
    if not PACKAGE.exists():
        unavailable("python3-bpfcc is not installed")
    libraries = [library("libbcc.so.0"), library("librt.so.1")]
    libraries += sorted(linked_libraries(libraries))
    files: dict[str, Path | bytes] = {str(path): path for path in libraries}
    return {**files, str(PACKAGE): PACKAGE, "/usr/bin/python3": Path(sys.executable).resolve()}


def header_files(kernel: GuestKernel) -> dict[str, Path | bytes]:
    """What BCC reads of Debian's headers for this kernel, where they are installed."""
    try:
        root, release = fetch_headers(kernel), fetch(kernel).release
    except KernelUnavailable as error:
        unavailable(str(error))
    files: dict[str, Path | bytes] = {}
    for link, tree in (("build", release), ("source", f"{release.rsplit('-', 2)[0]}-common")):
        for part in ("include", "arch/x86/include"):
            place = root / "usr/src" / f"linux-headers-{tree}" / part
            files[f"/lib/modules/{release}/{link}/{part}"] = place
    return files


def boot(kernel: GuestKernel, what: str) -> GuestResult:
    """Run the script: both engines beside each other, or BCC with headers alone."""
    files = {
        **bcc_files(),
        **(header_files(kernel) if what == "headers" else {}),
        "/guest/core_workloads.py": HERE / "core_workloads.py",
        "/guest/same.py": HERE.parent / "same.py",
    }
    return run_guest(
        kernel,
        HERE / "both_engines.py",
        files,
        arguments=[what],
        disk_megabytes=256,
        memory_megabytes=2048,
        timeout=SECONDS,
    )


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Every check with what was expected and what memtrace said."""
    version, what = request.param
    kernel = next(each for each in KERNELS if each.version == version)
    return GUESTS[request.param].report(kernel, lambda: boot(kernel, what))


@pytest.mark.parametrize(("report", "subject"), CASES, ids=IDS, indirect=["report"])
def test_second_engine(report: Report, subject: str) -> None:
    """Both engines agree on ledger and kills; from headers alone BCC is exact."""
    assert not report.wrong(subject)
