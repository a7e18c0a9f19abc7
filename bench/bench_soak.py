"""The agent as a pod for half an hour beside a hundred containers: its memory, its container's."""

from __future__ import annotations

import sys
from statistics import median

from common import bar, disk_directory, options, progress, publish

from tests.e2e.soak import Soaking, cpu_percent, flat

SECONDS, QUICK_SECONDS = 1800, 300
MEGABYTE = 1e6
BAR_GROWTH_PERCENT = 5.0  # as in tests/e2e/test_soak.py


def by_minute(series: list[dict[str, float]]) -> list[float]:
    """Bytes resident, the median of each minute."""
    resident: dict[int, list[float]] = {}
    for each in series:
        resident.setdefault(int(each["second"] // 60), []).append(each["rss"])
    return [median(values) for values in resident.values()]


def main() -> int:
    """Measure, print, publish."""
    seconds = QUICK_SECONDS if options(__doc__ or "").quick else SECONDS
    progress(f"{seconds} s of the agent as a pod beside 100 containers")
    with disk_directory() as directory:
        soaking = Soaking(directory, seconds)
        try:
            said = soaking.result()
        finally:
            soaking.end()
    series = said.pop("series")
    figures = {
        name: {"median": median(values) / MEGABYTE, "most": max(values) / MEGABYTE}
        for name in ("rss", "charge", "anon", "file", "kernel")
        if (values := [each[name] for each in series])
    }
    print(f"\nthe agent as a pod, {series[-1]['second']:.0f} s, MB")
    for name, figure in figures.items():
        print(f"  {name:8}{figure['median']:8.1f} median{figure['most']:8.1f} at most")
    minutes = [round(rss / MEGABYTE, 1) for rss in by_minute(series)]
    print(f"  RSS by the minute: {' '.join(map(str, minutes))}")
    cpu = cpu_percent(series)
    print(f"  CPU     {cpu:8.2f} % of one core, scraped every 15 s")
    before, after = flat(series)
    print("\nbars")
    bars = [
        bar("charge at most", figures["charge"]["most"], said["limit"] / MEGABYTE, " MB"),
        bar("growth of RSS", 100 * (after / before - 1), BAR_GROWTH_PERCENT, " %"),
        bar("kills and restarts", said["kills"] + (not said["lives"]), 0),
    ]
    publish(
        "soak",
        {**said, "megabytes": figures, "rss_by_minute": minutes, "cpu_percent": cpu, "bars": bars},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
