"""Writes prometheusrule.yaml: rules.yaml as prometheus-operator wants it; --check compares."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RULES, WRAPPED = HERE / "rules.yaml", HERE / "prometheusrule.yaml"
HEAD = """\
# rules.yaml for prometheus-operator, made by `make monitoring`; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: memtrace
  labels:
    app.kubernetes.io/name: memtrace
spec:
"""


def render(rules: str) -> str:
    """The rules below `spec`, without the comments before them."""
    groups = rules[rules.index("groups:\n") :]
    return HEAD + "".join(f"  {line}".rstrip() + "\n" for line in groups.splitlines())


def main(arguments: list[str]) -> int:
    """Write the file, or with --check compare it."""
    made = render(RULES.read_text())
    if "--check" not in arguments:
        WRAPPED.write_text(made)
    elif WRAPPED.read_text() != made:
        print(f"{WRAPPED} is not what rules.yaml makes: make monitoring", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
