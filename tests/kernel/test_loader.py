"""The loader room on the running kernel: programs, maps, rings and errors, with known workloads."""

from __future__ import annotations

import errno
import json
import os
import platform
import select
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtrace.kernel import batch
from memtrace.kernel.errors import BpfError
from memtrace.kernel.libbpf import listen, possible_cpus
from memtrace.kernel.maps import ARRAY, HASH, NOEXIST, PERCPU_ARRAY, RINGBUF, Map
from memtrace.kernel.objects import BpfObject
from memtrace.kernel.ring import RingBuffer
from memtrace.kernel.support import Questions, kernel_facts

pytestmark = pytest.mark.kernel

SOURCES = Path(__file__).parent / "programs"
RARE_SYSCALL = {"x86_64": 148, "aarch64": 127}[platform.machine()]  # sched_rr_get_interval
ZERO = bytes(4)
PRIME = 101

Compiled = Callable[[str], Path]
Open = Callable[..., BpfObject]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Compiles a source of programs/ and gives the object's path."""
    target = tmp_path_factory.mktemp("objects")

    def compile_source(name: str) -> Path:
        made = target / f"{name}.bpf.o"
        include = f"-I/usr/include/{platform.machine()}-linux-gnu"
        options = ["-O2", "-g", "-target", "bpf", "-mcpu=v2", include]
        source = SOURCES / f"{name}.bpf.c"
        subprocess.run(["clang", *options, "-c", str(source), "-o", str(made)], check=True)
        return made

    return compile_source


@pytest.fixture
def opened(compiled: Compiled) -> Iterator[Open]:
    """Opens compiled objects and closes them after the test."""
    objects: list[BpfObject] = []

    def open_object(name: str, **rodata: bytes) -> BpfObject:
        objects.append(BpfObject.open(compiled(name), name, rodata))
        return objects[-1]

    yield open_object
    for known in objects:
        known.close()


@pytest.fixture
def loader(opened: Open) -> BpfObject:
    """The object with one program of each kind, loaded."""
    made = opened(
        "loader", watched_syscall=struct.pack("=q", RARE_SYSCALL), factor=struct.pack("=I", 3)
    )
    made.load()
    return made


@pytest.fixture
def numbers() -> Iterator[Map]:
    """A hash map of u64 -> u64 with room for 131072."""
    made = Map.create(HASH, "numbers", 8, 8, 131072)
    yield made
    made.close()


def fill(target: Map, count: int, first: int = 0) -> None:
    """Put `count` numbers and their squares."""
    for number in range(first, first + count):
        target.put(struct.pack("=Q", number), struct.pack("=Q", number * number))


def collect(chunks: Iterator[batch.Chunk]) -> list[tuple[int, int]]:
    """All (key, value) pairs of u64 in chunks."""
    found: list[tuple[int, int]] = []
    for keys, values, count in chunks:
        pairs = list(zip(keys.cast("Q"), values.cast("Q"), strict=True))
        assert len(pairs) == count
        found += pairs
    return found


def link_id(fd: int) -> int:
    """The kernel's id of the link behind a descriptor."""
    info = Path(f"/proc/self/fdinfo/{fd}").read_text()
    return int(next(line.split()[1] for line in info.splitlines() if line.startswith("link_id")))


def living_links() -> set[int]:
    """The ids of all links in the kernel."""
    bpftool = shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/usr/local/sbin")
    if bpftool is None:
        pytest.skip("no bpftool to list links")
    listed = subprocess.run([bpftool, "-j", "link"], check=True, capture_output=True).stdout
    return {link["id"] for link in json.loads(listed)}


class TestPrograms:
    @pytest.mark.parametrize(("program", "slot"), [("count_typed", 0), ("count_raw", 1)])
    def test_an_attached_program_sees_every_event(
        self, loader: BpfObject, program: str, slot: int
    ) -> None:
        """tp_btf and raw_tp programs attach by section name and count 101 system calls as 101."""
        loader.attach(program)
        for _ in range(PRIME):
            os.sched_rr_get_interval(0)
        counted = loader.map("calls").get(struct.pack("=I", slot))
        assert counted == struct.pack("=Q", PRIME)

    def test_a_closed_link_counts_no_more(self, loader: BpfObject) -> None:
        """Closing one link detaches one program and leaves the object usable."""
        link = loader.attach("count_typed")
        os.sched_rr_get_interval(0)
        link.close()
        link.close()
        os.sched_rr_get_interval(0)
        assert link.fd == -1
        assert loader.map("calls").get(ZERO) == struct.pack("=Q", 1)

    def test_a_program_runs_on_each_cpu(self, loader: BpfObject) -> None:
        """run(cpu=N) happens on CPU N: each CPU's own value says so."""
        for cpu in kernel_facts().online_cpus:
            loader.run("visit", struct.pack("=2Q", 0, 0), cpu=cpu)
        visited = [struct.unpack("=I", value)[0] for value in loader.map("visits").get_percpu(ZERO)]
        expected = [
            cpu + 1 if cpu in kernel_facts().online_cpus else 0 for cpu in range(possible_cpus())
        ]
        assert visited == expected

    def test_an_absent_cpu_is_an_error_with_its_number(self, loader: BpfObject) -> None:
        """Running on a CPU that does not exist is ENXIO."""
        with pytest.raises(BpfError) as caught:
            loader.run("visit", struct.pack("=2Q", 0, 0), cpu=possible_cpus() + 1000)
        assert caught.value.errno == errno.ENXIO

    def test_arguments_and_constants_reach_the_program(self, loader: BpfObject) -> None:
        """A raw_tp run gets its u64 arguments; the constant set before the load multiplies them."""
        assert loader.run("visit", struct.pack("=2Q", 14, 0)) == 42

    def test_results_are_signed(self, loader: BpfObject) -> None:
        """A program that returns -7 returns -7."""
        assert loader.run("negative") == -7

    def test_a_syscall_program_writes_its_context_back(self, loader: BpfObject) -> None:
        """A bytearray given as context holds the program's changes afterwards."""
        context = bytearray(struct.pack("=IIQ", 40, 2, 0))
        assert loader.run("add", context) == 3
        assert struct.unpack("=IIQ", context) == (40, 2, 42)

    def test_a_context_of_bytes_is_not_changed(self, loader: BpfObject) -> None:
        """Immutable bytes stay immutable."""
        context = struct.pack("=IIQ", 40, 2, 0)
        loader.run("add", context)
        assert struct.unpack("=IIQ", context) == (40, 2, 0)

    def test_an_iterator_visits_every_thread(self, opened: Open) -> None:
        """iter/task prints three bytes for each of this process' threads."""
        tasks = opened("tasks", tgid=struct.pack("=i", os.getpid()))
        tasks.load()
        stop = threading.Event()
        threads = [threading.Thread(target=stop.wait) for _ in range(12)]
        for thread in threads:
            thread.start()
        alive = len(os.listdir("/proc/self/task"))
        printed = tasks.attach_iter("threads").read()
        stop.set()
        assert alive >= 13
        assert printed == b"one" * alive

    def test_a_run_into_itself_is_counted_as_a_miss(self, opened: Open) -> None:
        """Each of 101 provoked recursions is one recursion miss."""
        asked = Questions(tracepoints=("page_fault_kernel",))
        if kernel_facts(asked).tracepoint_params("page_fault_kernel") is None:
            pytest.skip("this kernel has no page_fault_kernel tracepoint")
        misses = opened("misses")
        misses.load()
        assert misses.recursion_misses() == 0
        misses.attach("fall")
        for _ in range(PRIME):
            misses.run("push")
        assert misses.recursion_misses() == PRIME

    def test_run_counts_follow_the_kernels_switch(self, loader: BpfObject) -> None:
        """Run time and run count are there for each loaded program and zero while unmeasured."""
        assert set(loader.stats()) == set(loader.programs())
        if kernel_facts().bpf_stats_enabled == 0:
            assert (loader.run_time_ns(), loader.run_count()) == (0, 0)


class TestObjects:
    def test_constants_must_exist_and_fit(self, opened: Open) -> None:
        """A wrong name or a wrong size is refused before anything is loaded."""
        with pytest.raises(BpfError, match=r"set nothing of loader .*'factor', 'watched_syscall'"):
            opened("loader", nothing=b"")
        with pytest.raises(BpfError, match="8 bytes given, 4 wanted"):
            opened("loader", factor=bytes(8))

    def test_an_object_opens_from_bytes(self, compiled: Compiled) -> None:
        """The bytes of an object do as well as its path."""
        with BpfObject.open(compiled("loader").read_bytes(), "loader") as made:
            made.load()
            assert made.run("negative") == -7

    def test_programs_left_out_are_not_loaded(self, opened: Open) -> None:
        """autoload(False) keeps a program out of the kernel, and using it is an error."""
        refused = opened("refused")
        assert refused.programs() == ["unsafe", "impossible"]
        refused.autoload("unsafe", False)
        refused.autoload("impossible", False)
        refused.load()
        assert refused.stats() == {}
        with pytest.raises(BpfError, match="use program unsafe of refused, which is not loaded"):
            refused.attach("unsafe")

    def test_a_refused_program_says_why_with_its_source_line(self, opened: Open) -> None:
        """The verifier's whole log is in the error, down to the C line."""
        refused = opened("refused")
        refused.autoload("impossible", False)
        with pytest.raises(BpfError, match="cannot load refused: Permission denied") as caught:
            refused.load()
        assert "return *number; /* never checked */" in caught.value.log
        assert "map_value_or_null" in caught.value.log
        assert "END PROG LOAD LOG" in caught.value.log

    def test_an_impossible_field_is_named(self, opened: Open) -> None:
        """A field this kernel lacks is in the error, with its struct."""
        refused = opened("refused")
        refused.autoload("unsafe", False)
        with pytest.raises(BpfError) as caught:
            refused.load()
        assert "CO-RE relocation" in caught.value.log
        assert "struct task_struct.no_such_field" in caught.value.log

    def test_an_error_carries_only_its_own_messages(self, opened: Open) -> None:
        """What libbpf said about an earlier failure is not in the next error."""
        with pytest.raises(BpfError):
            BpfObject.open(b"not an object", "rubbish")
        with pytest.raises(BpfError) as caught:
            opened("loader").map("absent")
        assert caught.value.errno == errno.ENOENT
        assert "rubbish" not in caught.value.log

    def test_debug_messages_come_when_asked(self, opened: Open) -> None:
        """libbpf's debug messages reach the listener, and only while it listens."""
        heard: list[str] = []
        listen(heard.append, debug=True)
        opened("loader")
        listen(None)
        known = len(heard)
        opened("loader")
        assert known == len(heard)
        assert any("section" in line for line in heard)

    def test_two_objects_share_a_map(self, opened: Open) -> None:
        """A reused map is one map: what one object's program writes, the other's owner reads."""
        first = opened("loader")
        second = opened("loader", watched_syscall=struct.pack("=q", RARE_SYSCALL))
        first.load()
        second.reuse_map("calls", first.map("calls"))
        second.load()
        second.attach("count_typed")
        os.sched_rr_get_interval(0)
        second.close()
        assert first.map("calls").get(ZERO) == struct.pack("=Q", 1)

    def test_unlike_maps_are_not_shared(self, opened: Open, numbers: Map) -> None:
        """A map of another shape is refused."""
        with pytest.raises(BpfError, match="share unlike map numbers as calls of loader"):
            opened("loader").reuse_map("calls", numbers)

    def test_a_map_gets_the_size_it_is_given(self, opened: Open) -> None:
        """set_max_entries before the load decides the size."""
        made = opened("loader")
        made.set_max_entries("events", 1 << 16)
        made.load()
        assert made.map("events").max_entries == 1 << 16

    def test_nothing_stays_attached_after_close(self, loader: BpfObject) -> None:
        """Links are in the kernel until close, and gone after; closing twice is harmless."""
        links = {link_id(loader.attach(name).fd) for name in ("count_typed", "count_raw", "visit")}
        assert links <= living_links()
        calls = loader.map("calls")
        loader.close()
        loader.close()
        assert not links & living_links()
        with pytest.raises(BpfError, match="EBADF"):
            calls.get(ZERO)

    def test_nothing_stays_attached_after_a_kill(self, compiled: Compiled) -> None:
        """A killed process leaves no link behind."""
        script = (
            "import sys, time\n"
            "from memtrace.kernel.objects import BpfObject\n"
            f"made = BpfObject.open({str(compiled('loader'))!r}, 'loader'); made.load()\n"
            "fd = made.attach('count_raw').fd\n"
            "print(open(f'/proc/self/fdinfo/{fd}').read().replace(chr(10), ' '), flush=True)\n"
            "time.sleep(60)"
        )
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        words = child.stdout.readline().split()
        link = int(words[words.index("link_id:") + 1])
        assert link in living_links()
        child.send_signal(signal.SIGKILL)
        child.communicate()
        deadline = time.monotonic() + 5
        while link in living_links() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert link not in living_links()


class TestMaps:
    def test_single_elements_come_and_go(self, numbers: Map) -> None:
        """put, get, delete; an absent key is None or False, a forbidden replacement an error."""
        key, value = struct.pack("=Q", 1), struct.pack("=Q", 2)
        assert numbers.get(key) is None
        numbers.put(key, value)
        assert numbers.get(key) == value
        with pytest.raises(BpfError, match="EEXIST"):
            numbers.put(key, value, NOEXIST)
        assert numbers.delete(key)
        assert not numbers.delete(key)

    def test_wrong_sizes_never_reach_the_kernel(self, numbers: Map) -> None:
        """A short key or value would make the kernel read beyond it: refused."""
        with pytest.raises(ValueError, match="key of 4 bytes, not 8"):
            numbers.get(bytes(4))
        with pytest.raises(ValueError, match="value of 4 bytes, not 8"):
            numbers.put(bytes(8), bytes(4))

    def test_a_full_map_says_so(self) -> None:
        """One element too many is E2BIG."""
        small = Map.create(HASH, "small", 8, 8, 2)
        with pytest.raises(BpfError, match="E2BIG"):
            fill(small, 3)
        small.close()

    def test_a_batch_read_gives_what_was_put(self, numbers: Map) -> None:
        """100,000 entries come back, each once, and stay."""
        fill(numbers, 100_000)
        expected = [(number, number * number) for number in range(100_000)]
        assert sorted(collect(numbers.items())) == expected
        assert len(collect(numbers.items())) == 100_000

    def test_a_drain_gives_everything_and_empties(self, numbers: Map) -> None:
        """100,000 entries come back once, and none is left."""
        fill(numbers, 100_000)
        expected = [(number, number * number) for number in range(100_000)]
        assert sorted(collect(numbers.drain())) == expected
        assert collect(numbers.items()) == []

    @pytest.mark.parametrize("read", [Map.items, Map.drain])
    def test_buckets_larger_than_the_chunk_are_read(
        self, numbers: Map, read: Callable[..., Iterator[batch.Chunk]]
    ) -> None:
        """With room for one element the buffer grows until the fullest bucket fits."""
        fill(numbers, 20_000)
        assert len(set(collect(read(numbers, chunk=1)))) == 20_000

    def test_a_drain_under_fire_loses_nothing(self, numbers: Map) -> None:
        """While a thread keeps putting new entries, repeated drains see each exactly once."""
        total = 30_000
        writer = threading.Thread(target=fill, args=(numbers, total))
        writer.start()
        found: list[tuple[int, int]] = []
        while writer.is_alive():
            found += collect(numbers.drain(chunk=64))
        writer.join()
        found += collect(numbers.drain())
        assert sorted(found) == [(number, number * number) for number in range(total)]

    @pytest.mark.parametrize(("read", "left"), [(Map.items, 10_000), (Map.drain, 0)])
    def test_maps_without_batches_are_read_one_by_one(
        self,
        numbers: Map,
        monkeypatch: pytest.MonkeyPatch,
        read: Callable[..., Iterator[batch.Chunk]],
        left: int,
    ) -> None:
        """Where the kernel has no batch operation the same chunks come element by element."""
        fill(numbers, 10_000)
        with monkeypatch.context() as patch:
            patch.setattr(batch, "batches", no_batches)
            assert len(set(collect(read(numbers)))) == 10_000
        assert len(collect(numbers.items())) == left

    def test_an_array_is_read_in_order_and_cannot_be_drained(self) -> None:
        """Array elements come by index; they cannot be removed, and the error says so."""
        array = Map.create(ARRAY, "squares", 4, 8, 10_000)
        for number in (0, 7, 9_999):
            array.put(struct.pack("=I", number), struct.pack("=Q", number))
        values = [value for _, part, _ in array.items() for value in part.cast("Q")]
        assert values == [number if number in (0, 7, 9_999) else 0 for number in range(10_000)]
        with pytest.raises(BpfError, match="map squares"):
            collect(array.drain())
        array.close()

    def test_a_per_cpu_value_is_read_for_every_possible_cpu(self) -> None:
        """A 4-byte per-CPU value comes back as one 4-byte value per possible CPU."""
        shares = Map.create(PERCPU_ARRAY, "shares", 4, 4, 1)
        cpus = range(possible_cpus())
        shares.put(ZERO, b"".join(struct.pack("=I4x", cpu) for cpu in cpus))
        assert shares.get_percpu(ZERO) == [struct.pack("=I", cpu) for cpu in cpus]
        assert sum(count for _, _, count in shares.items()) == 1
        shares.close()

    def test_a_closed_map_is_closed_once(self) -> None:
        """Closing twice does not close a stranger's descriptor."""
        twin = Map.create(HASH, "twin", 8, 8, 8)
        number = twin.fd
        twin.close()
        stranger = os.open("/dev/null", os.O_RDONLY)
        twin.close()
        assert stranger == number
        os.close(stranger)


class TestRings:
    def test_a_ring_delivers_every_record_in_order(self, loader: BpfObject) -> None:
        """10 bursts of 997 events are 9970 records in the order they were sent."""
        seen: list[int] = []
        with RingBuffer(loader.map("events")) as ring:
            for burst in range(10):
                emit(loader, burst * 997, 997)
            assert ring.drain(lambda record: seen.extend(record.cast("Q"))) == 9970
            assert ring.drain(lambda record: seen.append(-1)) == 0
        assert seen == list(range(9970))

    def test_one_reader_serves_several_rings(self, loader: BpfObject) -> None:
        """Records of two rings arrive in one drain, told apart by their size."""
        sizes: list[int] = []
        with RingBuffer(loader.map("events"), loader.map("more_events")) as ring:
            emit(loader, 0, 2)
            loader.run("emit_more", struct.pack("=QII", 0, 0, 0))
            assert ring.drain(lambda record: sizes.append(len(record))) == 3
        assert sorted(sizes) == [8, 8, 16]

    def test_the_descriptor_becomes_readable(self, loader: BpfObject) -> None:
        """select() wakes up for a record and sleeps without one."""
        with RingBuffer(loader.map("events")) as ring:
            assert select.select([ring], [], [], 0)[0] == []
            emit(loader, 0, 1)
            assert select.select([ring], [], [], 5)[0] == [ring]

    def test_an_error_in_the_callback_is_raised_and_the_rest_waits(self, loader: BpfObject) -> None:
        """The exception comes out of drain; no record is delivered twice or lost."""
        seen: list[int] = []

        def fail_on_third(record: memoryview) -> None:
            seen.extend(record.cast("Q"))
            if len(seen) == 3:
                raise KeyError("third")

        with RingBuffer(loader.map("events")) as ring:
            emit(loader, 0, 7)
            with pytest.raises(KeyError, match="third"):
                ring.drain(fail_on_third)
            assert ring.drain(fail_on_third) == 4
        assert seen == list(range(7))

    def test_a_limit_bounds_one_drain(self, loader: BpfObject) -> None:
        """A limited drain stops there; the next one goes on."""
        with RingBuffer(loader.map("events")) as ring:
            emit(loader, 0, 7)
            drained = [ring.drain(lambda record: None, limit=5) for _ in range(3)]
        assert drained == [5, 2, 0]

    def test_a_record_kept_too_long_is_an_error(self, loader: BpfObject) -> None:
        """The memory behind a record goes back to the kernel: using it later raises."""
        kept: list[memoryview] = []
        with RingBuffer(loader.map("events")) as ring:
            emit(loader, 0, 1)
            ring.drain(kept.append)
        with pytest.raises(ValueError, match="released"):
            bytes(kept[0])

    def test_a_map_that_is_no_ring_is_refused(self, numbers: Map) -> None:
        """Only ring buffer maps can be read so."""
        with pytest.raises(BpfError, match="open ring buffer numbers") as caught:
            RingBuffer(numbers)
        assert caught.value.errno == errno.EINVAL

    def test_a_reader_closes_twice(self) -> None:
        """close is idempotent, and a closed ring is not drained."""
        ring_map = Map.create(RINGBUF, "ring", 0, 0, 4096)
        ring = RingBuffer(ring_map)
        ring.close()
        ring.close()
        with pytest.raises(ValueError, match="closed"):
            ring.drain(lambda record: None)
        ring_map.close()


class TestFacts:
    def test_the_kernel_answers_about_its_types(self) -> None:
        """Tracepoints, types, members, enumerators and helpers: there, or not there."""
        questions = Questions(
            tracepoints=("mm_filemap_add_to_page_cache", "no_such_tracepoint"),
            types=(("struct", "task_struct"), ("struct", "no_such_struct")),
            members=(("task_struct", "tgid"), ("page", "lru"), ("page", "no_such_member")),
            enums=(("node_stat_item", "NR_FILE_PAGES"), ("node_stat_item", "NO_SUCH_ITEM")),
            helpers=("ringbuf_output", "no_such_helper"),
        )
        facts = kernel_facts(questions)
        assert facts.btf
        assert facts.tracepoint_params("mm_filemap_add_to_page_cache") == 1
        assert facts.tracepoint_params("no_such_tracepoint") is None
        assert list(facts.answers.types.values()) == [True, False]
        assert list(facts.answers.members.values()) == [True, True, False]
        assert facts.enum_value("node_stat_item", "NR_FILE_PAGES") is not None
        assert facts.enum_value("node_stat_item", "NO_SUCH_ITEM") is None
        assert list(facts.answers.helpers.values()) == [True, False]

    def test_the_kernel_answers_about_this_process(self) -> None:
        """Release, CPUs and capabilities are those Python sees."""
        facts = kernel_facts()
        assert facts.release == platform.release()
        assert len(facts.online_cpus) == os.cpu_count()
        assert len(facts.possible_cpus) == possible_cpus()
        assert facts.capabilities is not None
        assert {"CAP_BPF", "CAP_SYS_ADMIN"} & facts.capabilities


def emit(loader: BpfObject, first: int, count: int) -> None:
    """Send `count` u64 records from `first` on through the ring `events`; none may be lost."""
    burst = bytearray(struct.pack("=QII", first, count, 0))
    loader.run("emit", burst)
    assert struct.unpack("=QII", burst)[2] == 0


def no_batches(*_: object) -> Iterator[batch.Chunk]:
    """A kernel without batch operations."""
    raise BpfError(524, "read a batch")
    yield
