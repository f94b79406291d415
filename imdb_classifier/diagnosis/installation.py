"""Checks of what is installed, and of the machine that it runs on."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from math import inf
from typing import Final

from packaging.requirements import Requirement

from imdb_classifier.diagnosis.checkup import NotApplicableError
from imdb_classifier.errors import ConfigurationError, counted
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.cores import THREADS_VARIABLE, available_cores, cpu_quota
from imdb_classifier.version import __version__

_PACKAGE: Final = "imdb-classifier"


def check_versions() -> str:
    """Check that the packages that are required, also by installed extras, have supported versions.

    Raises:
        ConfigurationError: One is missing or has another version.
        NotApplicableError: The package runs from its source and is not installed.
    """
    try:
        needed = list(_needed([Requirement(text) for text in requires(_PACKAGE) or []]))
    except PackageNotFoundError:
        raise NotApplicableError("runs from its source; nothing says what it requires") from None
    found = {each.name: _version(each.name) for each in needed}
    wrong = [
        each
        for each in needed
        if not each.specifier.contains(found[each.name] or "0", prereleases=True)
    ]
    if wrong:
        known = (f"{each.name} {found[each.name] or 'is not'}" for each in wrong)
        command = " ".join(sorted({f"'{each.name}{each.specifier}'" for each in wrong}))
        raise ConfigurationError(
            "Packages must be installed in supported versions.",
            f"Installed: {', '.join(known)}.",
            f"Run: pip install --upgrade {command}",
        )
    packages = ", ".join(f"{name} {found[name]}" for name in sorted(found))
    return (
        f"imdb-classifier {__version__}, Python {platform.python_version()} on "
        f"{platform.system()} {platform.machine()}; {packages}"
    )


def check_cores() -> str:
    """Check how many threads score here.

    Raises:
        ConfigurationError: IMDB_CLASSIFIER_THREADS is wrong.
    """
    quota = cpu_quota()
    return (
        f"{counted(available_cores(), 'thread')} ({counted(os.cpu_count() or 1, 'core')}, CPU "
        f"quota: {'none' if quota == inf else f'{quota:g}'}, {THREADS_VARIABLE}: "
        f"{os.environ.get(THREADS_VARIABLE) or 'not set'})"
    )


def check_engine(choice: EngineChoice) -> str:
    """Check that an engine gives the bundled model's scores, and is not a slow one by a fault.

    Raises:
        ConfigurationError: The engine cannot be had.
        BundleError: The engine gives wrong scores.
    """
    if choice == "auto":
        choice = "compiled" if find_spec("llvmlite") else "onnx"
        hint = "" if choice == "compiled" else "; install imdb-classifier[fast] for a faster one"
    else:
        hint = ""
    return load_bundle(bundled_path(), choice).engine.name + hint


def _needed(requirements: list[Requirement]) -> Iterator[Requirement]:
    """Yield what the package requires, and what those extras require that are installed."""
    by_extra = defaultdict(list)
    for requirement in requirements:
        if requirement.name != _PACKAGE:
            by_extra[str(requirement.marker or "")].append(requirement)
    for extra, group in by_extra.items():
        if not extra or all(_version(each.name) for each in group):
            yield from group


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
