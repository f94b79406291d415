"""The conditions of a measurement, which every JSON file of figures contains as ``measured``."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imdb_classifier import __version__
from imdb_classifier.scoring.cores import available_cores

PACKAGES = ("keras", "llvmlite", "numpy", "onnxruntime", "pyarrow", "scikit-learn", "tensorflow")
_CPU_INFO = Path("/proc/cpuinfo")


def conditions() -> dict[str, Any]:
    """Return CPU, date, commit and versions of this run.

    Returns:
        cpu and cores; date (UTC, ISO 8601) and commit (hexadecimal, with a ``+`` if the checkout
        has uncommitted changes); python, imdb_classifier and packages (their versions).
    """
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "cpu": _cpu(),
        "cores": available_cores(),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _git("rev-parse", "HEAD") + ("+" if changed else ""),
        "python": platform.python_version(),
        "imdb_classifier": __version__,
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    """Return the name of the CPU and, on Linux, whether it has AVX-512."""
    if not _CPU_INFO.exists():
        return platform.processor() or platform.machine()
    lines = _CPU_INFO.read_text("utf-8").splitlines()
    fields = {name.strip(): value for name, _, value in (line.partition(": ") for line in lines)}
    name = fields.get("model name", platform.machine())
    return f"{name} (AVX-512)" if "avx512f" in fields.get("flags", "").split() else name


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout.strip()
