"""`memtrace agent`: the daemon. Samples every second until told to stop, and tells its health.

Wires the live source, the listener and the logs. Measures nothing itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import CommandError, UsageError, check_root
from memtrace.commands.stopping import Stopping, stopping
from memtrace.commands.top import Live, collect_seldom, next_tick

if TYPE_CHECKING:
    from memtrace.samples import Feature, Lost, Sample
    from memtrace.service.settings import Settings

PROBLEM_SECONDS = 60.0
"""How often something that goes on is logged again."""

HELP: dict[str, Any] = {
    "description": """\
Watch this machine's containers for as long as it runs, as a service does. Answers /healthz
and /version on --listen, logs events to standard error (JSON unless that is a terminal),
and ends in order with SIGTERM or Ctrl-C.

Settings come from a TOML file (--config) and from flags, which win. The names are the same:

  interval = 1.0                     seconds between samples
  listen = "127.0.0.1:9435"          HOST:PORT, or "none"
  state_dir = "/var/lib/memtrace"    names of removed containers
  root = "/"                         where the host's / is mounted
  engine = "auto"                    what loads the probes
  baseline = true                    look at what is cached already
  budget_megabytes = 96              the agent's own memory; beyond it, it tidies up and says so
  log_format = "auto"                auto, json or console
  log_level = "info"                 debug, info, warning or error
""",
    "epilog": """\
examples:
  sudo memtrace agent                            with the defaults
  sudo memtrace agent --config /etc/memtrace.toml
  curl -s http://127.0.0.1:9435/healthz          is it well?
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}

Opener = Callable[["Settings"], AbstractContextManager[Live]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags; one that is not given leaves the file's setting, or the default."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML")
    for flag, metavar, text in (
        ("--listen", "HOST:PORT", "where /healthz and /version answer; none: nowhere"),
        ("--state-dir", "DIR", "where names of removed containers are kept"),
        ("--root", "DIR", "where the host's / is mounted"),
        ("--engine", "NAME", "what loads the probes: auto, libbpf or bcc"),
        ("--log-format", "FORMAT", "auto, json or console"),
        ("--log-level", "LEVEL", "debug, info, warning or error"),
    ):
        parser.add_argument(flag, metavar=metavar, help=text)
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="between samples")
    parser.add_argument(
        "--budget-megabytes", type=float, metavar="MB", help="the agent's own memory"
    )
    parser.add_argument(
        "--no-baseline",
        dest="baseline",
        action="store_false",
        help="do not look at what is cached already",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def run(options: argparse.Namespace, opener: Opener | None = None) -> int:
    """Run until Ctrl-C or SIGTERM. `opener`: what to open instead of the kernel."""
    settings = _settings(options)
    check_root(settings.root)
    from memtrace.service.logs import start_logging
    from memtrace.views.text import printable

    log = start_logging(settings.log_format, settings.log_level, printable)
    with stopping() as wish:
        _serve(settings, wish, log, opener or _open)
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    from memtrace.service.settings import SettingsError, read_settings

    flags = dict(vars(options))
    for name in ("command", "verbose"):
        flags.pop(name, None)
    try:
        return read_settings(flags.pop("config", None), flags)
    except SettingsError as error:
        raise UsageError(f"{error}.") from error


def _serve(settings: Settings, wish: Stopping, log: Any, opener: Opener) -> None:
    from memtrace import __version__
    from memtrace.service.health import Health
    from memtrace.service.protection import Budget, protect

    health = Health(settings.interval)
    protected = protect()
    with _listening(settings, health) as port, opener(settings) as live:
        wish.tell(live)
        live.on_progress = lambda _done, _pages: wish.raise_if_asked()
        log.info("started", version=__version__, interval=settings.interval, port=port)
        watch = _Watch(log, protected)
        budget = Budget(settings.budget_megabytes)
        for sample in _samples(live, settings.interval, wish, health, watch):
            watch.look(sample)
            watch.budget(budget.check())
    log.info("stopped", samples=health.state()["samples"])


@contextmanager
def _listening(settings: Settings, health: Any) -> Iterator[int | None]:
    from memtrace.service.listener import Listener, ListenError
    from memtrace.service.settings import address

    where = address(settings.listen)
    if where is None:
        yield None
        return
    try:
        listener = Listener(*where, health.routes(settings.engine))
    except ListenError as error:
        raise CommandError(
            f"{error}; give another --listen HOST:PORT, or --listen none."
        ) from error
    with listener:
        yield listener.port


@contextmanager
def _open(settings: Settings) -> Iterator[Live]:
    from memtrace.collect.live import LiveError, open_live

    try:
        with open_live(
            settings.root, settings.engine, settings.baseline, settings.state_dir
        ) as live:
            yield live
    except LiveError as error:
        failure = CommandError(error.sentence)
        failure.exit_code = error.exit_code
        raise failure from error


def _samples(
    live: Live, interval: float, wish: Stopping, health: Any, watch: _Watch
) -> Iterator[Sample]:
    """Yield a sample at once and then one per interval; what fails is tried again at the next."""
    from memtrace.collect.live import LiveError

    started = time.monotonic()
    while not wish.asked:
        try:
            sample = live.sample()
        except LiveError as error:
            health.problem = error.sentence
            watch.failed(error.sentence)
        else:
            health.sampled()
            yield sample
            if watch.samples == 1:
                collect_seldom()
        due = started + next_tick(time.monotonic() - started, interval)
        while (left := due - time.monotonic()) > 0 and not wish.asked:
            live.wait(left)


class _Watch:
    """Turns what changes from sample to sample into log events, each said once or seldom."""

    def __init__(self, log: Any, protected: dict[str, Feature]) -> None:
        self._log = log
        self._features: dict[str, Feature] = {}
        self._lost: Lost | None = None
        self._told: dict[str, float] = {}  # event -> when (monotonic)
        self.samples = 0
        self._tell_features(protected)

    def look(self, sample: Sample) -> None:
        """Features that went off or came back, and what was lost since the last time."""
        self.samples += 1
        self._tell_features(sample.features)
        if self._lost is None:
            self._log.info("first_sample", node=sample.node, cgroups=len(sample.cgroups))
            self._lost = sample.lost
        elif sample.lost != self._lost and self._due("lost"):
            self._log.warning("lost", **{name: getattr(sample.lost, name) for name in _LOST})
            self._lost = sample.lost

    def failed(self, sentence: str) -> None:
        """A sample could not be taken."""
        if self._due("sample_failed"):
            self._log.error("sample_failed", reason=sentence)

    def budget(self, resident: int | None) -> None:
        """The agent itself is larger than it may be."""
        if resident is not None:
            self._log.warning("over_budget", resident_bytes=resident)

    def _due(self, event: str) -> bool:
        now = time.monotonic()
        due = now - self._told.get(event, -PROBLEM_SECONDS) >= PROBLEM_SECONDS
        if due:
            self._told[event] = now
        return due

    def _tell_features(self, features: dict[str, Feature]) -> None:
        for name, feature in features.items():
            before = self._features.get(name)
            if not feature.enabled and (before is None or before.enabled):
                self._log.warning("feature_off", feature=name, reason=feature.reason)
            elif feature.enabled and before is not None and not before.enabled:
                self._log.info("feature_on", feature=name)
        self._features.update(features)


_LOST = ("ring", "map_full", "recursion", "names", "netlink")
