"""How many cores this process may use: by its affinity, and by the CPU quota of its container.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html (``cpu.max``) and
https://docs.kernel.org/scheduler/sched-bwc.html (``cpu.cfs_quota_us``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil, inf
from pathlib import Path
from typing import Final

from imdb_classifier.errors import ConfigurationError

THREADS_VARIABLE: Final = "IMDB_CLASSIFIER_THREADS"
_CGROUPS: Final = Path("/sys/fs/cgroup")
_CGROUPS_OF_PROCESS: Final = Path("/proc/self/cgroup")


def cores_to_use(threads: int | None = None) -> int:
    """Return a chosen number of threads or, by default, `available_cores`.

    Raises:
        ConfigurationError: The number is below 1, or IMDB_CLASSIFIER_THREADS is wrong.
    """
    if threads is None:
        return available_cores()
    if threads < 1:
        raise ConfigurationError(
            "`threads` must be at least 1.", f"It is {threads}.", "Leave it out to use every core."
        )
    return threads


def available_cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    IMDB_CLASSIFIER_THREADS decides if it is set. A quota is rounded up to whole cores.

    Raises:
        ConfigurationError: The variable is no whole number above 0.
    """
    chosen = os.environ.get(THREADS_VARIABLE)
    if chosen:
        if not (chosen.isascii() and chosen.isdecimal() and int(chosen) > 0):
            raise ConfigurationError(
                f"{THREADS_VARIABLE} must be a whole number above 0.",
                f"It is '{chosen}'.",
                "Set it to a number of threads, or unset it to use every core.",
            )
        return int(chosen)
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota >= cores else max(ceil(quota), 1)


def cpu_quota() -> float:
    """Return how many cores the control groups of this process grant it; infinity for no limit."""
    return min(_quotas(), default=inf)


def _quotas() -> Iterator[float]:
    """Yield the quotas of the process' control groups and of those around them, in cores."""
    try:
        groups = _CGROUPS_OF_PROCESS.read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # A container that sees its own groups only has its limits at the root.
        inner = Path(path.lstrip("/"))
        for folder in (_CGROUPS / controllers / part for part in (inner, *inner.parents)):
            # A group need not have a limit.
            with suppress(OSError, ValueError):
                yield _of_version_1(folder) if controllers else _of_version_2(folder)


def _of_version_1(folder: Path) -> float:
    quota, period = (
        int((folder / f"cpu.cfs_{name}_us").read_text("utf-8")) for name in ("quota", "period")
    )
    return quota / period if quota > 0 else inf


def _of_version_2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text("utf-8").split()
    return int(quota) / int(period)  # ValueError for "max"
