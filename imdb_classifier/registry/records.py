"""When and with which packages a decision was made, and who asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

_PACKAGES: Final = ("imdb-classifier", "llvmlite", "numpy", "onnxruntime", "pyarrow")
"""What the scores of a model depend on."""


def stamped(record: Mapping[str, Any], requested_by: Mapping[str, str]) -> dict[str, Any]:
    """Return a record with the time (UTC), the versions of packages, and who asked for it.

    Args:
        record: Plain JSON values.
        requested_by: ``user`` (login name), or ``flow``, ``flow_run`` and ``deployment``.
    """
    return {
        **record,
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "requested_by": dict(requested_by),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
