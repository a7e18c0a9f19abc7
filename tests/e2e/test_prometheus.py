"""A real Prometheus scrapes a real agent beside real workloads: dashboards, joins and alerts."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.cadvisor import cadvisor
from tests.e2e.pods import NAMESPACE, PodContainer
from tests.e2e.prometheus import Prometheus, Rows, program
from tests.kernel.harness.agent import Agent
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.files import PAGE, cold_file
from tests.kernel.harness.golang import build
from tests.kernel.harness.oom import counted, ended, start
from tests.kernel.harness.workloads import Workloads

pytestmark = pytest.mark.timeout(400)

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
MIB = 1 << 20
LIMIT = 48 * MIB
FILE = 96 * MIB
THRASH, MIRROR, GO, KILLED, GONE, PEAK = "thrash", "mirror", "api", "eater", "gone", "peak"
# What is chosen on the dashboards; a rate is over so many scrapes.
VARIABLES = {f"${name}": ".*" for name in ("instance", "pod", "container", "cgroup")}
VARIABLES |= {"$__rate_interval": "15s", "$namespace": NAMESPACE}
SETTINGS = ("GOMAXPROCS=8", "GOMEMLIMIT=100MiB")
READ_AGAIN = 'while :; do cat "$0" > /dev/null; sleep 0.2; done'
FILL = (
    "n=1; while :; do"
    ' dd if=/dev/zero of="$0.$n" bs=1M count=64 conv=fdatasync 2> /dev/null;'
    ' rm -f "$0.$((n - 1))"; n=$((n + 1)); sleep 0.2; done'
)


class World(NamedTuple):
    """What runs here."""

    agent: Agent
    address: str
    prometheus: Prometheus
    thrash: PodContainer


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, disk: Path, workloads: Workloads
) -> Iterator[World]:
    """Containers that thrash, only fill their cache, run Go, are killed and are gone."""
    directory = tmp_path_factory.mktemp("monitoring")
    settings = directory / "memtrace.toml"
    settings.write_text("metrics_files = 3\n")
    collect = build("collect", directory).path
    program("prometheus")
    with ExitStack() as stack:
        top = stack.enter_context(Cgroup("monitoring"))
        agent = stack.enter_context(Agent(directory, "--config", str(settings)))
        pods = {
            pod: stack.enter_context(PodContainer(pod, top, limit, cpus))
            for pod, limit, cpus in (
                (THRASH, LIMIT, None),
                (MIRROR, LIMIT, None),
                (GO, 4 * LIMIT, 0.5),
                (KILLED, LIMIT // 3, None),
                (GONE, LIMIT, None),
                (PEAK, 4 * LIMIT, None),
            )
        }
        address = f"127.0.0.1:{agent.events('started')[0]['port']}"
        around = {"namespace": "monitoring", "pod": "memtrace-x", "container": "agent"}
        kubelet = stack.enter_context(cadvisor(NAMESPACE, list(pods)))
        targets = {"memtrace": (address, around), "kubelet": (kubelet, {})}
        prometheus = stack.enter_context(Prometheus(directory, targets))
        _run_go(pods[GO], collect)
        _grow(pods[PEAK], collect)
        large = cold_file(disk / "thrash", FILE // PAGE)
        pods[THRASH].cgroup.start("sh", "-c", READ_AGAIN, large)
        pods[MIRROR].cgroup.start("sh", "-c", FILL, disk / "mirror")
        pods[GONE].cgroup.run("dd", "if=/dev/zero", f"of={disk / 'gone'}", "bs=1M", "count=8")
        time.sleep(2)
        pods[GONE].cgroup.remove()
        victim = start(pods[KILLED].cgroup, workloads["hog"], str(2 * LIMIT))
        assert ended(victim) == -signal.SIGKILL
        assert counted(pods[KILLED].cgroup) == 1
        yield World(agent, address, prometheus, pods[THRASH])


def _run_go(pod: PodContainer, collect: Path) -> None:
    """Two processes that collect one after the other, once memtrace follows them."""
    processes = [pod.cgroup.hold("env", *SETTINGS, collect, "40", "forced") for _ in range(2)]
    for process in processes:
        pod.bind(process.pid)
    later = [(6.0, processes[0]), (12.0, processes[1])]

    def go(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.write(b"\n")
            process.stdin.flush()

    for seconds, process in later:
        threading.Timer(seconds, go, [process]).start()


def _grow(pod: PodContainer, collect: Path) -> None:
    """A Go heap of 32 MiB, whose goal is twice that, under a limit between the two."""
    process = pod.cgroup.hold(collect, "1", "forced", "20")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"done\n"
    pod.cgroup.limit(56 * MIB)


def metrics(world: World, **headers: str) -> bytes:
    """What the agent answers."""
    request = urllib.request.Request(f"http://{world.address}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: bytes = answer.read()
    return text


def mine(world: World, alert: str) -> Rows:
    """The alerts of a name about containers of these tests; others run on this machine, too."""
    found = world.prometheus.alerts(alert)
    return [each for each in found if each["labels"].get("namespace") == NAMESPACE]


def pod_of(victim: dict[str, Any] | None) -> str | None:
    """The pod of a record's victim."""
    return None if victim is None else victim["pod"]


def of(pod: str) -> str:
    """The labels of a pod's container."""
    return f'namespace="{NAMESPACE}",pod="{pod}",container="app"'


def test_a_kill_is_told_with_its_cause(world: World) -> None:
    """Once, by the container's name, with the verdict of the post-mortem; counted, too."""
    assert world.prometheus.until(lambda: bool(mine(world, "MemtraceOomKill")), 30)
    (alert,) = mine(world, "MemtraceOomKill")
    (record,) = (each for each in world.agent.records() if pod_of(each["victim"]) == KILLED)
    assert alert["labels"]["pod"] == KILLED
    assert alert["annotations"]["cause"] == record["verdict"]["id"]
    assert "its own limit" in alert["annotations"]["description"]
    assert world.prometheus.value(f"memtrace_oom_kills_total{{{of(KILLED)}}}") == 1
    assert world.prometheus.value(f"memtrace_oom_kills_total{{{of(THRASH)}}}") == 0


def test_refault_thrash_is_told(world: World) -> None:
    """The container that reads too large a file again and again, and no other one."""
    assert world.prometheus.until(lambda: bool(mine(world, "MemtraceRefaultThrash")), 60)
    assert [each["labels"]["pod"] for each in mine(world, "MemtraceRefaultThrash")] == [THRASH]


def test_too_many_procs_for_the_quota_are_told(world: World) -> None:
    """GOMAXPROCS 8 where half a CPU is allowed."""
    name = "MemtraceGoMaxProcsAboveQuota"
    assert world.prometheus.until(lambda: bool(mine(world, name)), 40)
    (alert,) = mine(world, name)
    assert alert["labels"]["pod"] == GO
    assert "GOMAXPROCS 8" in alert["annotations"]["summary"]


def test_a_goal_beyond_the_limit_is_told(world: World) -> None:
    """Of a heap that nothing holds back but a kill."""
    name = "MemtraceGoGoalBeyondLimit"
    assert world.prometheus.until(lambda: bool(mine(world, name)), 40)
    assert [each["labels"]["pod"] for each in mine(world, name)] == [PEAK]


@pytest.mark.parametrize("name", ["fleet", "container", "go", "oom"])
def test_every_query_of_a_dashboard_has_an_answer(world: World, name: str) -> None:
    """Each one returns data beside these workloads."""
    panels = json.loads((DASHBOARDS / f"{name}.json").read_text())["panels"]
    missing = {target["expr"] for panel in panels for target in panel["targets"]}

    def ask() -> bool:
        missing.difference_update([each for each in missing if _answered(world, each)])
        return not missing

    assert world.prometheus.until(ask, 40), missing


def _answered(world: World, expression: str) -> bool:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return bool(world.prometheus.rows(expression))


def test_figures_are_the_containers_and_join_with_cadvisors(world: World) -> None:
    """Labels of the target are not taken over, and cAdvisor's series has a partner for each."""
    join = (
        'memtrace_memory_reclaimable_file_bytes{container!=""} / on(namespace, pod, container)'
        " group_left(image) container_memory_working_set_bytes"
    )
    assert world.prometheus.until(lambda: len(world.prometheus.rows(join)) >= 4, 20)
    found = {row["metric"]["pod"]: row["metric"] for row in world.prometheus.rows(join)}
    assert {THRASH, MIRROR, GO, KILLED} <= found.keys()
    assert found[GO]["image"] == "registry.example/app:1"
    whole = world.prometheus.rows('memtrace_memory_usage_bytes{cgroup="/"}')
    assert "pod" not in whole[0]["metric"]
    own = world.prometheus.rows("memtrace_self_resident_memory_bytes")
    assert own[0]["metric"]["pod"] == "memtrace-x"
    assert world.prometheus.value(f"memtrace_memory_limit_bytes{{{of(THRASH)}}}") == LIMIT


def test_what_a_removed_container_left_has_its_own_family(world: World) -> None:
    """Under its name, and nowhere else."""
    left = f"memtrace_removed_page_cache_bytes{{{of(GONE)}}}"
    assert world.prometheus.until(lambda: (world.prometheus.value(left) or 0) > 0, 20)
    assert world.prometheus.value(f"memtrace_memory_usage_bytes{{{of(GONE)}}}") is None


def test_promtool_finds_nothing_to_improve(world: World) -> None:
    """Names, units and kinds, as `promtool check metrics` sees them; and the rules."""
    for arguments, text in ((("check", "metrics"), metrics(world)), (_check_rules(), b"")):
        done = subprocess.run(
            [program("promtool"), *arguments], input=text, capture_output=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, b""), done.stdout


def _check_rules() -> tuple[str, ...]:
    return "check", "rules", str(DASHBOARDS.parent / "prometheus" / "rules.yaml")


def test_the_rules_pass_their_own_tests() -> None:
    """`promtool test rules deploy/prometheus/tests.yaml`."""
    tests = DASHBOARDS.parent / "prometheus" / "tests.yaml"
    command = [program("promtool"), "test", "rules", tests]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_many_and_slow_clients_do_not_stop_sampling(world: World) -> None:
    """Fifty at once, and some that ask and do not read: samples go on."""
    before = samples(world)
    host, port = world.address.split(":")
    slow = [socket.create_connection((host, int(port)), timeout=10) for _ in range(10)]
    for connection in slow:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    answered: list[int] = []

    def ask() -> None:
        try:
            answered.append(len(metrics(world)))
        except OSError:
            answered.append(0)  # too many at once are turned away

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answered) == 50
    assert any(answered)
    deadline = time.monotonic() + 20
    while samples(world) < before + 3 and time.monotonic() < deadline:
        time.sleep(0.5)
    for connection in slow:
        connection.close()
    assert samples(world) >= before + 3


def samples(world: World) -> int:
    """How often the agent looked, by its health."""
    return int(world.agent.ask("/healthz")["samples"])


def test_alerts_end_with_their_reason_and_cache_alone_is_none(world: World) -> None:
    """The thrashing stops, the kill is long ago; the container that only fills never alerted."""
    added = f"memtrace_page_cache_added_bytes_total{{{of(MIRROR)}}} > {4 * LIMIT}"
    full = f"memtrace_memory_usage_bytes{{{of(MIRROR)}}} > 0.9 * memtrace_memory_limit_bytes"
    assert world.prometheus.until(lambda: bool(world.prometheus.rows(f"{added} and {full}")), 60)
    world.thrash.cgroup.end()

    def quiet() -> bool:
        return not mine(world, "MemtraceOomKill") and not mine(world, "MemtraceRefaultThrash")

    assert world.prometheus.until(quiet, 90)
    fired = {name for name, pod in world.prometheus.ever_fired() if pod == MIRROR}
    assert fired == set()
