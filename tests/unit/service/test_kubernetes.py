"""Events for an API server, which is a stand-in with TLS and tokens: no Kubernetes is here."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtrace.service.kubernetes import (
    WAITING,
    Refused,
    Sender,
    in_cluster,
    post,
)
from tests.unit.service.api_server import ApiServer, make_account

EVENT = {"metadata": {"namespace": "shop", "name": "web-0.memtrace-1"}, "reason": "MemoryKill"}
PATH = "/api/v1/namespaces/shop/events"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service account's directory; its certificate is the server's own."""
    return make_account(tmp_path_factory.mktemp("account"), "127.0.0.1")


@pytest.fixture
def api(account: Path) -> Iterator[ApiServer]:
    """The stand-in, running."""
    with ApiServer(account) as server:
        yield server


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_event_is_posted_with_the_account_s_token(api: ApiServer, account: Path) -> None:
    """Over TLS that the account's certificate vouches for; the token may change meanwhile."""
    post(api.where, EVENT)
    (account / "token").write_text("second")
    post(api.where, EVENT)
    assert api.asked == [(PATH, "Bearer first", EVENT), (PATH, "Bearer second", EVENT)]


def test_nobody_else_gets_the_token(api: ApiServer, tmp_path: Path) -> None:
    """Neither a server with another certificate, nor one for another name."""
    (tmp_path / "token").write_text("secret")
    (tmp_path / "ca.crt").write_text("not a certificate")
    with pytest.raises(Refused, match="service account"):
        post(api.where._replace(account=tmp_path), EVENT)
    with pytest.raises(Refused, match=r"(?i)certificate verify failed"):
        post(api.where._replace(host="localhost"), EVENT)
    assert api.asked == []


def test_what_passes_is_tried_again(api: ApiServer) -> None:
    """And one that is there already was sent before."""
    api.statuses = [503, 429, 409]
    sender = Sender(api.where, (0.01, 0.01, 0.01))
    sender.send(EVENT)
    until(lambda: len(api.asked) == 3)
    sender.close()
    assert (sender.lost, sender.feature.enabled) == (0, True)


def test_it_does_not_try_for_ever(api: ApiServer) -> None:
    """After the last pause the Event is lost, and the reason is told."""
    api.statuses = [500]
    sender = Sender(api.where, (0.01,))
    sender.send(EVENT)
    until(lambda: sender.lost == 1)
    assert len(api.asked) == 2
    assert "answers 500: for reason 500" in sender.feature.reason


def test_a_missing_right_is_told_and_not_tried_again(api: ApiServer) -> None:
    """With what to apply; once there is the right, it is on again."""
    api.statuses = [403, 201]
    sender = Sender(api.where, (20,))
    sender.send(EVENT)
    until(lambda: sender.lost == 1)
    assert "components/events" in sender.feature.reason
    sender.send(EVENT)
    until(lambda: sender.feature.enabled)
    sender.close()


def test_a_silent_server_keeps_nobody_waiting(api: ApiServer) -> None:
    """What does not fit is lost, the oldest first, and counted."""
    api.statuses = [None]
    sender = Sender(api.where)
    sender.send(EVENT)
    until(lambda: bool(api.asked))
    started = time.monotonic()
    for _ in range(WAITING + 10):
        sender.send(EVENT)
    assert time.monotonic() - started < 1
    assert sender.lost == 10


@pytest.mark.parametrize("content", ["", "\0", "a\nb", "\udcff".encode(errors="surrogateescape")])
def test_a_damaged_account_is_a_reason(
    api: ApiServer, account: Path, tmp_path: Path, content: str | bytes
) -> None:
    """Not an exception, whatever is in the files."""
    shutil.copy(account / "ca.crt", tmp_path)
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "token").write_bytes(data)
    api.statuses = [401]
    with pytest.raises(Refused):
        post(api.where._replace(account=tmp_path), EVENT)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("10.0.0.1", "6443", ("10.0.0.1", 6443)),
        ("fd00::1", "443", ("fd00::1", 443)),
        ("", "443", None),
        ("10.0.0.1", "x", None),
        ("10.0.0.1", "99999", None),
    ],
)
def test_a_pod_is_told_where_its_api_server_is(
    host: str, port: str, expected: tuple[str, int] | None
) -> None:
    """By two variables; outside of a cluster there are none."""
    found = in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port})
    assert (found and found[:2]) == expected
    assert in_cluster({}) is None
