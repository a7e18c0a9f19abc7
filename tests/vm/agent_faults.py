"""Runs in the guest: an agent lives through clocks that are set and a machine without memory.

Prints one JSON object: what core_workloads.py's `report` prints, and the records themselves.
Expected values come from the workload or from the kernel's own files. Standard library only.
"""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oom_kills import CGROUPS, LIMIT, Checks, Record, counted, eat, facts, new, signals, start

STATE, RECORDS = Path("/disk/state"), Path("/disk/oom")
HISTORY = STATE / "history.mtr"
LOG = Path("/tmp/agent.log")
AGENT = ["python3", "-m", "memtrace", "agent", "--listen", "127.0.0.1:9435", "--log-format", "json"]
HOUR = 3600.0
STEADY = 4.0
"""Seconds of sampling before a kill: what its record tells of the time before."""
PATIENCE = 60.0  # without KVM everything takes long


def until(done: Callable[[], Any]) -> Any:
    """What is true at last, or false in the end."""
    end = time.monotonic() + PATIENCE
    while not (found := done()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def events(name: str) -> list[Record]:
    """What the agent logged under this name."""
    lines = [line for line in LOG.read_text().splitlines() if line.endswith("}")]
    return [event for event in map(json.loads, lines) if event["event"] == name]


def run_agent() -> subprocess.Popen[bytes]:
    """An agent that has sampled once."""
    with LOG.open("wb") as log:
        command = [*AGENT, "--state-dir", str(STATE), "--oom-dir", str(RECORDS)]
        agent = subprocess.Popen(command, stderr=log)
    if not until(lambda: events("first_sample")):
        print(LOG.read_text(), file=sys.stderr)
    return agent


def health() -> str:
    """What the agent says of itself."""
    with urllib.request.urlopen("http://127.0.0.1:9435/healthz", timeout=30) as answer:
        status: str = json.load(answer)["status"]
    return status


def records() -> list[Record]:
    """Those on disk, by id."""
    return [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]


def one_more(work: Callable[[], object]) -> Record | None:
    """The record that this leaves behind."""
    before = {record["id"] for record in records()}

    def fresh() -> list[Record]:
        return [record for record in records() if record["id"] not in before]

    work()
    found = until(fresh)
    return found[0] if found else None


def set_clock(hours: float) -> None:
    """As `date -s` does, so many hours from now."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() + hours * HOUR)


def told(record: Record | None, now: float) -> Record:
    """Whether a record belongs to this moment of the clock, with the seconds before it in order."""
    if record is None:
        return {}
    before = [moment["seconds_before"] for moment in record["history"]]
    return {
        "in time": abs(record["time"] - now) < PATIENCE,
        "seconds before": len(before) >= 2 and before == sorted(before, reverse=True),
        "within a minute": all(0 <= each <= 65 for each in before),
    }


def clocks(checks: Checks) -> list[str]:
    """A kill as it is, one after three hours forwards, one after an hour back from there."""
    right = {"in time": True, "seconds before": True, "within a minute": True}
    made = []
    for name, step in (("as it is", 0.0), ("forwards", 3.0), ("back", -4.0)):
        cgroup = new(f"clock{len(made)}", memory__max=str(LIMIT))
        victim = start(cgroup, lambda: time.sleep(2 * STEADY) or eat())
        time.sleep(STEADY)
        set_clock(step)
        record = one_more(lambda victim=victim: signals(victim))  # type: ignore[misc]
        checks[f"clock set: {name}"] = {"expected": right, "got": told(record, time.time())}
        checks[f"clock set: health, {name}"] = {"expected": "ok", "got": health()}
        made.append(record["id"] if record else "")
    checks["clock set: ids"] = {"expected": sorted(set(made)), "got": made}
    return made


def whole_machine(checks: Checks, agent: subprocess.Popen[bytes]) -> None:
    """All memory taken by a cgroup without a limit: the agent lives and tells."""
    free = new("free")
    victim = start(free, eat, adj=1000)
    record = one_more(lambda: signals(victim))
    got = {key: value for key, value in facts(record).items() if key != "limit"} if record else {}
    checks["whole machine"] = {
        "expected": {"kill": "node", "victims": [victim], "cgroup": "/", "ended": None},
        "got": {**got, "ended": agent.poll()},
    }
    checks["whole machine: health"] = {"expected": "ok", "got": until(is_well) and "ok"}
    spared = Path(f"/proc/{agent.pid}/oom_score_adj").read_text().strip()
    checks["whole machine: spared"] = {"expected": "-999", "got": spared}


def is_well() -> bool:
    """Also when it did not answer in time."""
    try:
        return health() == "ok"
    except OSError:
        return False


def scraped() -> dict[str, float]:
    """/metrics: values by name and labels."""
    with urllib.request.urlopen("http://127.0.0.1:9435/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {series: float(value) for series, _, value in pairs}


def kills() -> int:
    """Processes killed so far, as /metrics counts them."""
    counts = (value for name, value in scraped().items() if name.startswith("memtrace_oom_kills"))
    return int(sum(counts))


def metrics(checks: Checks) -> None:
    """What only version 2 tells is there, and kills are counted as by the kernel."""
    labels = f'namespace="",pod="",container="",cgroup="/{CGROUPS.name}"'
    parts = ("slab", "kernel_stack", "page_table", "percpu", "sock")
    asked = {f"memtrace_memory_{part}_bytes{{{labels}}}" for part in parts}
    checks["metrics: version 2"] = {"expected": [], "got": sorted(asked - scraped().keys())}
    checks["metrics: kills"] = {"expected": counted(), "got": until(same_kills) and counted()}


def same_kills() -> bool:
    """Whether /metrics counts as many as the kernel."""
    return kills() == counted()


def replayed(*arguments: str) -> list[float]:
    """The clock of each moment that replay shows."""
    command = ["python3", "-m", "memtrace", "replay", str(HISTORY), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stderr, file=sys.stderr)
    return [json.loads(line)["time"] for line in done.stdout.splitlines()]


def history(checks: Checks, sampled: int) -> None:
    """Whole, in the order in which it was, with the clock as it was."""
    shown = replayed()
    checks["history: all of it"] = {"expected": sampled, "got": len(shown)}
    steps = [later - one for one, later in itertools.pairwise(shown)]
    far = [round(step / HOUR) for step in steps if abs(step) > HOUR / 2]
    checks["history: in order"] = {"expected": [3, -4], "got": far}
    last = replayed("--at", "-5s")
    checks["history: the last seconds"] = {"expected": shown[-len(last) :], "got": last}
    clock = time.strftime("%H:%M:%S", time.localtime(shown[-2]))
    asked = replayed("--at", clock)
    checks["history: a time of day"] = {"expected": shown[-len(asked) :], "got": asked}
    checks["history: after the clock went back"] = {"expected": True, "got": len(asked) <= 4}


def again(checks: Checks, sampled: int) -> None:
    """Another agent goes on where this one was: nothing is thrown away, nothing told twice.

    And the group of one that was killed in between, which the kernel counts twice, is one kill.
    """
    before = [record["id"] for record in records()]
    victims = sum(len(record["victims"]) for record in records())
    group = new("group", memory__max=str(LIMIT), memory__oom__group="1")
    signals(start(group, eat))
    agent = run_agent()
    time.sleep(STEADY)
    got = until(lambda: kills() > victims) and kills()
    checks["metrics: kills, those before included"] = {"expected": victims + 1, "got": got}
    agent.send_signal(signal.SIGTERM)
    checks["again: exit"] = {"expected": 0, "got": agent.wait(60)}
    *old, late = records()
    checks["again: records"] = {"expected": before, "got": [each["id"] for each in old]}
    checks["again: a group in between"] = {"expected": 1, "got": late["kills"]}
    checks["again: history"] = {"expected": True, "got": len(replayed()) > sampled}


def main() -> None:
    """Let it live through it all, and print the result."""
    CGROUPS.mkdir()
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    checks: Checks = {}
    agent = run_agent()
    clocks(checks)
    whole_machine(checks, agent)
    metrics(checks)
    agent.send_signal(signal.SIGTERM)
    checks["agent: exit"] = {"expected": 0, "got": agent.wait(60)}
    print(LOG.read_text(), file=sys.stderr)
    made = records()
    victims = sum(len(record["victims"]) for record in made)
    checks["agent: as many as the kernel counts"] = {"expected": counted(), "got": victims}
    sampled = events("stopped")[0]["samples"]
    history(checks, sampled)
    again(checks, sampled)
    print(json.dumps({"features": {}, "lacks": {}, "checks": checks, "records": made}))


if __name__ == "__main__":
    main()
