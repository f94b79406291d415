"""All checks, by name and in order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec

from imdb_classifier.diagnosis.checkup import Check, NotApplicableError
from imdb_classifier.diagnosis.installation import check_cores, check_engine, check_versions
from imdb_classifier.diagnosis.places import (
    check_model,
    check_output,
    check_registry,
    check_space,
)
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.versions import Registry


def all_checks(
    output: str, model: str, registry: Registry, engine: EngineChoice
) -> Mapping[str, Check]:
    """Return the checks of an installation.

    Args:
        output: The folder that runs write to, as a location.
        model: The model that they use, as for `Registry.load`.
        registry: Where it is looked up.
        engine: What runs its network.
    """
    return {
        "versions": check_versions,
        "cores": check_cores,
        "engine": partial(check_engine, engine),
        "registry": partial(check_registry, registry),
        "model": partial(check_model, registry, model, engine),
        "output": partial(check_output, output),
        "space": partial(check_space, output),
        "Prefect server": _check_server,
        "schedules": _check_schedules,
    }


def _check_server() -> str:
    _need_server()
    from imdb_classifier.operations.health import check_server

    return check_server()


def _check_schedules() -> str:
    _need_server()
    from imdb_classifier.operations.health import check_schedules

    return check_schedules()


def _need_server() -> None:
    if find_spec("prefect") is None:
        raise NotApplicableError("Prefect is not installed (extra flows)")
    try:
        import imdb_classifier.tasks  # noqa: F401 - its error says what Prefect lacks
    except ConfigurationError as error:
        if os.environ.get("PREFECT_API_URL"):
            raise
        raise NotApplicableError(str(error)) from error
    from imdb_classifier.operations.connection import server_address

    if server_address() is None:
        raise NotApplicableError("no server is configured (PREFECT_API_URL)")
