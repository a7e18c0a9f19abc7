"""`memtrace agent`: the daemon's command line: its settings, what it opens, and its end.

What it does all day is in agent_loop.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from memtrace.commands.common import CommandError, UsageError, check_root, live_errors
from memtrace.commands.stopping import Stopping, stopping

if TYPE_CHECKING:
    from memtrace.collect.live import Live
    from memtrace.collect.oom_capture import OomCapture
    from memtrace.samples import Feature
    from memtrace.service.listener import Route
    from memtrace.service.settings import Settings

HELP: dict[str, Any] = {
    "description": """\
Watch this machine's containers for as long as it runs, as a service does. Writes a
post-mortem for every kill for want of memory (memtrace oom list), keeps the last hours in
its state directory (memtrace replay DIR/history.mtr), answers /metrics (for Prometheus),
/healthz and /version on --listen, logs events to standard error (JSON unless that is a
terminal), and ends in order with SIGTERM or Ctrl-C.

Settings come from a TOML file (--config) and from flags, which win. The names are the same:

  interval = 1.0                     seconds between samples
  listen = "127.0.0.1:9435"          HOST:PORT, or "none"
  state_dir = "/var/lib/memtrace"    the history, names of removed containers, counters of kills
  oom_dir = "/var/log/memtrace/oom"  post-mortems
  history_hours = 24                 how much history is kept at most,
  history_megabytes = 256            and how large it may become
  root = "/"                         where the host's / is mounted
  metrics_files = 0                  largest files of each container in /metrics, up to 20
  engine = "auto"                    what loads the probes
  baseline = true                    look at what is cached already
  budget_megabytes = 96              the agent's own memory; beyond it, it tidies up and says so
  kubernetes_events = false          an Event for each kill, where this is a pod (docs/security.md)
  log_format = "auto"                auto, json or console
  log_level = "info"                 debug, info, warning or error
""",
    "epilog": """\
examples:
  sudo memtrace agent                            with the defaults
  sudo memtrace agent --config /etc/memtrace.toml
  curl -s http://127.0.0.1:9435/healthz          is it well?
  memtrace replay /var/lib/memtrace/history.mtr --at=-10m
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


class Opened(NamedTuple):
    """What the agent looks through; `capture` is why not where kills cannot be captured."""

    live: Live
    capture: OomCapture | Feature


Opener = Callable[["Settings"], AbstractContextManager[Opened]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags; one that is not given leaves the file's setting, or the default."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML")
    for flag, metavar, text in (
        ("--listen", "HOST:PORT", "where /metrics, /healthz and /version answer; none: nowhere"),
        ("--state-dir", "DIR", "where the history and names of removed containers are kept"),
        ("--oom-dir", "DIR", "where post-mortems go"),
        ("--root", "DIR", "where the host's / is mounted"),
        ("--engine", "NAME", "what loads the probes: auto, libbpf or bcc"),
        ("--log-format", "FORMAT", "auto, json or console"),
        ("--log-level", "LEVEL", "debug, info, warning or error"),
    ):
        parser.add_argument(flag, metavar=metavar, help=text)
    for flag, metavar, text in (
        ("--interval", "SECONDS", "between samples"),
        ("--history-hours", "HOURS", "how much history is kept"),
        ("--history-megabytes", "MB", "how large the history may become"),
        ("--budget-megabytes", "MB", "the agent's own memory"),
    ):
        parser.add_argument(flag, type=float, metavar=metavar, help=text)
    parser.add_argument(
        "--no-baseline",
        dest="baseline",
        action="store_false",
        help="do not look at what is cached already",
    )
    parser.add_argument(
        "--metrics-files", type=int, metavar="N", help="largest files of a container in /metrics"
    )
    parser.add_argument(
        "--kubernetes-events",
        action="store_true",
        help="make a Kubernetes Event for each kill, where this is a pod",
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
    from memtrace.commands.agent_loop import Loop
    from memtrace.commands.agent_metrics import Exporter
    from memtrace.service.health import Health
    from memtrace.service.protection import protect, stay_small

    stay_small()
    health = Health(settings.interval)
    exporter = Exporter(settings, health, __version__)
    protected = protect()
    routes = {**health.routes(), "/metrics": exporter.answer}
    with _listening(settings, routes) as port, opener(settings) as (live, capture):
        wish.tell(live)
        live.on_progress = lambda _done, _pages: wish.raise_if_asked()
        log.info("started", version=__version__, interval=settings.interval, port=port)
        loop = Loop(settings, live, capture, health, log, exporter)
        loop.tell_features(protected)
        try:
            loop.run(wish)
        finally:
            loop.close()
    log.info("stopped", samples=health.state()["samples"])


@contextmanager
def _listening(settings: Settings, routes: Mapping[str, Route]) -> Iterator[int | None]:
    from memtrace.service.listener import Listener, ListenError
    from memtrace.service.settings import address

    where = address(settings.listen)
    if where is None:
        yield None
        return
    try:
        listener = Listener(*where, routes)
    except ListenError as error:
        raise CommandError(
            f"{error}; give another --listen HOST:PORT, or --listen none."
        ) from error
    with listener:
        yield listener.port


@contextmanager
def _open(settings: Settings) -> Iterator[Opened]:
    """Everything attached; the capture first, so that no kill is missed while the rest starts."""
    from memtrace.collect.oom_capture import open_capture
    from memtrace.collect.opening import open_live
    from memtrace.samples import Feature

    where = (settings.root, settings.engine, settings.baseline, settings.state_dir)
    with live_errors():
        capture = open_capture(settings.root, settings.engine)
        held = nullcontext() if isinstance(capture, Feature) else capture
        with held, open_live(*where) as live:
            yield Opened(live, capture)
