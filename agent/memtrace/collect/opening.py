"""Opens live collection: what this kernel allows, attached, with all that reads beside it.

BCC compiles in the background while the rest of memtrace is imported: a third of that time.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from memtrace.collect.starting import EXIT_MISSING, EXIT_RUNTIME, LiveError, choose_engine
from memtrace.host.hierarchy import Hierarchy, HostError, find_hierarchy
from memtrace.kernel.engine_plan import planned, planned_go_gc
from memtrace.kernel.engines import Choice, Engine
from memtrace.kernel.errors import BpfError, EngineError
from memtrace.kernel.go_plan import go_processes_feature, has_uprobe_multi
from memtrace.kernel.plan import Plan
from memtrace.samples import Feature

if TYPE_CHECKING:
    from memtrace.collect.live import Live
    from memtrace.kernel.session import Session

# Refusals that pass; any other means that this kernel lacks something, or is laid out otherwise.
_SHORTAGES = (errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR)


def open_live(
    root: Path = Path("/"),
    engine: str = "auto",
    baseline: bool = True,
    state_dir: Path | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Live:
    """Attach to the running kernel. Raises LiveError with the exit code that fits.

    `state_dir`: where names of removed containers are kept; None: nowhere. `meanwhile`: what else
    there is to do before it is needed.
    """
    choice = choose_engine(engine, "attaching to the kernel")
    facts, plan = choice.facts, planned(choice)
    hierarchy = _hierarchy(plan, root)
    prepared = _prepared(choice, plan)
    from memtrace.collect.collector import Collector
    from memtrace.collect.live import Live
    from memtrace.host.tombstones import Tombstones

    if meanwhile is not None:
        meanwhile()
    session = _open_session(plan, hierarchy, prepared)
    try:
        features = dict(plan.features)
        if not baseline:
            features["baseline"] = Feature(False, "switched off by --no-baseline")
        tombstones = None if state_dir is None else Tombstones(state_dir, root)
        features["go_processes"] = go_processes_feature(facts)
        features["go_gc"] = planned_go_gc(choice)
        collector = Collector(
            session,
            hierarchy,
            features,
            root,
            plan.baseline,
            tombstones,
            plan.on_demand,
            has_uprobe_multi(facts),
        )
    except BaseException:
        session.close()
        raise
    return Live(session, collector, plan, baseline)


def _hierarchy(plan: Plan, root: Path) -> Hierarchy:
    if plan.blockers:
        raise LiveError(
            f"this kernel cannot be observed: {plan.blockers[0]}; `memtrace doctor` lists it all",
            EXIT_MISSING,
        )
    try:
        return find_hierarchy(root)
    except HostError as error:
        raise LiveError(str(error), EXIT_MISSING) from error


def _prepared(choice: Choice, plan: Plan) -> Engine:
    engine = choice.engine()
    try:
        engine.prepare(plan.page_cache)
    except EngineError as error:
        raise LiveError(f"{error}; see `memtrace doctor`", EXIT_MISSING) from error
    return engine


def _open_session(plan: Plan, hierarchy: Hierarchy, engine: Engine) -> Session:
    from memtrace.kernel.session import Session

    try:
        return Session(plan, hierarchy.hierarchy_id, engine)
    except EngineError as error:
        raise LiveError(f"{error}; see `memtrace doctor`", EXIT_MISSING) from error
    except BpfError as error:
        code = EXIT_RUNTIME if error.errno in _SHORTAGES else EXIT_MISSING
        raise LiveError(f"the kernel refused memtrace's programs: {error}", code) from error
