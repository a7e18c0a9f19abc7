"""A record as a Kubernetes Event."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.kills import OomEvent
from memtrace.views.kubernetes import MAX_MESSAGE, event
from tests.unit.views.test_postmortem import KILLS, record

UID = "7d5d7a51-93f5-4c10-8a3e-0f4f6a1f2b01"
NAMES = {"namespace": "shop", "pod": "web-0", "container": "server"}


def killed(**names: Any) -> dict[str, Any]:
    """A record whose victim is called so."""
    document = record(KILLS[0])
    document["victim"].update(NAMES | names)
    return document


def test_it_is_about_the_pod_and_its_container() -> None:
    """As kubectl describe looks for it: by namespace, name and uid."""
    made = event(killed(), UID)
    assert made["metadata"]["namespace"] == "shop"
    assert made["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web-0",
        "uid": UID,
        "fieldPath": "spec.containers{server}",
    }
    assert made["type"] == "Warning"


def test_it_says_who_was_killed_and_why() -> None:
    """With the limit, the verdict, and how to read on."""
    document = killed()
    message = event(document, UID)["message"]
    assert document["victim"]["comm"] in message
    assert document["verdict"]["claim"][:40] in message
    assert message.endswith(f"memtrace oom show {document['id']}")


def test_one_record_is_one_event() -> None:
    """Its name follows from the record, so that sending it again makes no second one."""
    first, again = event(killed(), UID), event(killed(), UID)
    assert first["metadata"]["name"] == again["metadata"]["name"]
    other = killed() | {"id": "20261118T110640.250Z-43"}
    assert event(other, UID)["metadata"]["name"] != first["metadata"]["name"]


@pytest.mark.parametrize("kill", KILLS)
def test_kubernetes_would_take_it(kill: OomEvent) -> None:
    """Whatever is known of the kill."""
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(event(record(kill), None), version, strict=True)


@pytest.mark.parametrize("namespace", ["../../secrets", "shop/pods", "Shop", "", None, "a" * 64])
def test_a_namespace_that_is_none_is_never_part_of_an_address(namespace: str | None) -> None:
    """Then it is about the node."""
    made = event(killed(namespace=namespace) | {"oom_cgroup": {}}, UID)
    assert made["metadata"]["namespace"] == "default"
    assert made["involvedObject"]["kind"] == "Node"


@given(st.text(max_size=300), st.text(max_size=3000))
def test_strangers_names_do_no_harm(name: str, claim: str) -> None:
    """No control characters, and never longer than Kubernetes takes."""
    document = killed(comm=name, container=name)
    document["verdict"]["claim"] = claim
    made = event(document, UID)
    assert made["message"].isprintable()
    assert len(made["message"]) <= MAX_MESSAGE
    assert "\n" not in made["involvedObject"].get("fieldPath", "")


@pytest.mark.parametrize("document", [{}, {"victim": 3, "oom_cgroup": [], "time": "x"}])
def test_a_record_of_another_version_is_an_event_still(document: dict[str, Any]) -> None:
    """About the node, with what there is."""
    made = event(document, None)
    assert made["involvedObject"]["kind"] == "Node"
    assert made["message"]
