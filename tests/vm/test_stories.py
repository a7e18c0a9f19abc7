"""Stories that need a machine of their own: swap in use (S6), and a node without memory (S2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.kernel.harness.golang import build
from tests.told import Told
from tests.vm.harness import run_guest
from tests.vm.kernels import KERNELS

SCRIPT = Path(__file__).parent / "stories.py"
SCHEMA = Path(__file__).parents[2] / "docs" / "oom.schema.json"
KERNEL = KERNELS[-2]
SECONDS = 500


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One boot for both."""
    place = tmp_path_factory.mktemp("go")
    programs: dict[str, Path | bytes] = {
        f"/bin/{name}": build(name, place).path for name in ("service", "serve")
    }
    guest = run_guest(
        KERNEL, SCRIPT, programs, disk_megabytes=512, memory_megabytes=1024, timeout=SECONDS
    )
    print(guest.console)
    result: dict[str, Any] = guest.json
    return result


def test_s6_swap_in_use(said: dict[str, Any]) -> None:
    """As much as the kernel says, and the limit with which it would fit."""
    told = Told("S6 swap", "a guest: a program keeps 104 MiB under a limit of 64 MiB, with swap")
    swap, verdict = said["swap"], said["swap"]["said"]["verdict"]
    told.heard(verdict, "swap_in_use")
    told.figure("in swap", verdict["bytes"], swap["kernel"]["swap"])


def test_s2_a_node_before_it_is_out_of_memory(said: dict[str, Any]) -> None:
    """The container without a limit is named while there is time, with a limit that helps."""
    told = Told("S2 before", "a guest of 1 GiB: a Go hog without a limit beside a mirror")
    node, verdict = said["node"], said["node"]["said"]["verdict"]
    told.heard(verdict, "no_limit_node_risk")
    told.figure("usage", verdict["bytes"], node["kernel"]["usage"])
    assert node["held"]
    assert node["spared"]
    told.after(f"with the limit of {node['limit'] >> 20} MiB it is killed alone, the kubelet lives")


def test_s2_the_record_of_the_kill(said: dict[str, Any]) -> None:
    """The kubelet was killed, by whom is told: those without a limit, the largest first."""
    told = Told("S2 record", "the same until the kernel kills the kubelet")
    node, record = said["node"], said["node"]["record"]
    jsonschema.validate(record, json.loads(SCHEMA.read_text()))
    assert (record["kill"], record["victim"]["pid"]) == ("node", node["victim"])
    assert record["victim"]["comm"] == "kubelet"
    told.heard(record["verdict"], "no_limit_node_risk")
    hog = next(each for each in record["verdict"]["evidence"] if each["text"] == "hog: usage")
    told.figure("usage of the hog", hog["value"], node["kept"])
    claim = record["verdict"]["claim"]
    assert claim.index("hog (") < claim.index("mirror (")
    assert node["watch"] == 0
