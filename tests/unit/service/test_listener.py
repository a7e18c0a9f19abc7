"""The listener: answers what it knows, and bears whatever comes to its port."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from memtrace.service.health import Health
from memtrace.service.listener import Answer, Listener, ListenError, Request


def _text(_asked: Request) -> Answer:
    return Answer(200, "text/plain", b"here\n")


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener on a free port, with one path."""
    with Listener("127.0.0.1", 0, {"/here": _text}) as opened:
        yield opened


def ask(listener: Listener, request: bytes) -> bytes:
    """Send bytes and read all that comes back."""
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
        with contextlib.suppress(OSError):  # refused before all of it was said
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""


def test_a_known_path_is_answered(listener: Listener) -> None:
    """With or without a query; HEAD without the body."""
    assert ask(listener, b"GET /here?x=1 HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\nhere\n")
    head = ask(listener, b"HEAD /here HTTP/1.1\r\n\r\n")
    assert b" 200 " in head
    assert head.endswith(b"\r\n\r\n")


def test_another_path_says_what_there_is(listener: Listener) -> None:
    """Exactly the known paths."""
    answer = ask(listener, b"GET /../etc/passwd HTTP/1.1\r\n\r\n")
    assert b" 404 " in answer
    assert answer.endswith(b"there is /here\n")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\0" * 100,
        b"POST /here HTTP/1.1\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /here HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"GET /here HTTP/9.9\r\n\r\n",
        b"\xff\xfe /here\r\n\r\n",
    ],
)
def test_it_bears_anything(listener: Listener, request_bytes: bytes) -> None:
    """What makes no sense is refused, and the next request is answered."""
    assert b"here\n" not in ask(listener, request_bytes)
    assert ask(listener, b"GET /here HTTP/1.1\r\n\r\n").endswith(b"here\n")


def test_clients_that_say_nothing_do_not_keep_others_out(listener: Listener) -> None:
    """Too many at once are turned away; when they leave, others are answered again."""
    silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(40)]
    for connection in silent:
        connection.close()
    for _ in range(100):
        try:
            answer = ask(listener, b"GET /here HTTP/1.1\r\n\r\n")
        except OSError:
            continue
        if answer.endswith(b"here\n"):
            break
    else:
        pytest.fail("it does not answer any more")


def test_a_taken_port_is_one_sentence(listener: Listener) -> None:
    """With the address in it."""
    with pytest.raises(ListenError, match="cannot be listened on: Address already in use"):
        Listener("127.0.0.1", listener.port, {})


def test_healthy_is_a_fresh_sample() -> None:
    """Ok at the start and after a sample; unwell when there was none for ten seconds."""
    now = [100.0]
    health = Health(1.0, lambda: now[0])
    route = health.routes()["/healthz"]
    assert route(Request()).status == 200
    now[0] += 9
    health.sampled("libbpf")
    now[0] += 9
    assert json.loads(route(Request()).body) == {
        "degraded": {},
        "status": "ok",
        "sample_age_seconds": 9.0,
        "samples": 1,
        "uptime_seconds": 18.0,
    }
    now[0] += 2
    assert route(Request()).status == 503
    assert json.loads(route(Request()).body)["status"] == "no sample for 11 s"


def test_a_failed_sample_is_told() -> None:
    """The reason, until the next one that works."""
    health = Health(1.0, lambda: 0.0)
    health.problem = "the kernel refused a read"
    assert health.state()["status"] == "the kernel refused a read"
    health.sampled("libbpf")
    assert health.state()["status"] == "ok"


def test_what_cannot_be_done_now_is_degraded_not_unwell() -> None:
    """With the reason, and 200: a restart would lose what waits in memory."""
    health = Health(1.0, lambda: 0.0)
    health.degraded = {"history": "the disk is full"}
    answer = health.routes()["/healthz"](Request())
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "degraded")
    assert json.loads(answer.body)["degraded"] == health.degraded
    health.problem = "the kernel refused a read"
    assert health.routes()["/healthz"](Request()).status == 503


def test_the_version_names_the_engine_in_use() -> None:
    """What the probes run on, not what was asked for; null until there was a sample."""
    health = Health(1.0)
    version = health.routes()["/version"]
    assert json.loads(version(Request()).body)["engine"] is None
    health.sampled("libbpf")
    assert json.loads(version(Request()).body)["engine"] == "libbpf"
