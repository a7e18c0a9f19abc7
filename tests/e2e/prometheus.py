"""A real Prometheus of our own on a free port, from Debian's package, unpacked; gone on exit.

The alerts are those of deploy/prometheus/rules.yaml, with their minutes made seconds.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.golang.toolchains import GoUnavailable, debian_program
from tests.outcomes import unavailable

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "rules.yaml"
SHORTER = 15
"""How much shorter times are than in the rules: 5m are 20 s, what lasts 10 minutes 40 s."""
Rows = list[dict[str, Any]]


def program(name: str) -> Path:
    """prometheus or promtool. Ends the test as unavailable where it cannot be had."""
    try:
        return debian_program("prometheus", f"usr/bin/{name}")
    except GoUnavailable as error:
        unavailable(f"prometheus: {error}")


def shortened(rules: str) -> str:
    """The rules with shorter times, and without waiting."""
    rules = re.sub(r"\[(\d+)m\]", lambda found: f"[{int(found[1]) * 60 // SHORTER}s]", rules)
    rules = re.sub(r"for: \d+m", "for: 2s", rules)
    return rules.replace("< 600", f"< {600 // SHORTER}")


class Prometheus:
    """Scrapes each target every second. `targets`: job -> (address, its labels)."""

    def __init__(self, directory: Path, targets: Mapping[str, tuple[str, dict[str, str]]]) -> None:
        """Keep everything below `directory`."""
        self._directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        (directory / "rules.yaml").write_text(shortened(RULES.read_text()))
        jobs = [
            {
                "job_name": job,
                "honor_labels": True,
                "static_configs": [{"targets": [address], "labels": labels}],
            }
            for job, (address, labels) in targets.items()
        ]
        every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": jobs}
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML

    def __enter__(self) -> Prometheus:
        command: list[str | Path] = [program("prometheus"), "--log.level=warn"]
        command += [f"--config.file={self._directory}/prometheus.yml"]
        command += [f"--storage.tsdb.path={self._directory}/data"]
        command += [f"--web.listen-address={self._address}"]
        with open(self._directory / "log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.until(lambda: bool(self._answers()), 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def rows(self, expression: str) -> Rows:
        """What an expression is now; raises HTTPError where it is none."""
        asked = urllib.parse.urlencode({"query": expression})
        found: Rows = self._get(f"query?{asked}")["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The only value of an expression; None where there is none."""
        found = self.rows(expression)
        return float(found[0]["value"][1]) if found else None

    def alerts(self, name: str) -> Rows:
        """The alerts of a name that fire now."""
        alerts = self._get("alerts")["data"]["alerts"]
        named = [each for each in alerts if each["labels"]["alertname"] == name]
        return [each for each in named if each["state"] == "firing"]

    def ever_fired(self) -> set[tuple[str, str]]:
        """Every alert so far, by name and pod."""
        rows = self.rows(
            'count by (alertname, pod) (count_over_time(ALERTS{alertstate="firing"}[1h]))'
        )
        return {(row["metric"]["alertname"], row["metric"].get("pod", "")) for row in rows}

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait for something, at most so long; whether it came."""
        deadline = time.monotonic() + seconds
        while not done():
            assert self._process.poll() is None, (self._directory / "log").read_text()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.3)
        return True

    def _answers(self) -> bool:
        try:
            return bool(self._get("query?query=vector(1)"))
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self._address}/api/v1/{path}", timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
        return document
