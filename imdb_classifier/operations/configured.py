"""The files in ``deployments`` that say what is put on a Prefect server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from imdb_classifier.errors import ConfigurationError

_PACKAGE: Final = Path(__file__).resolve().parents[1]


def deployments_file(name: str) -> Path:
    """Return the path of a file in ``deployments``.

    Raises:
        ConfigurationError: It is missing.
    """
    # A wheel has the folder inside the package, a checkout beside it.
    places = (_PACKAGE / "_deployments" / name, _PACKAGE.parent / "deployments" / name)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ConfigurationError(
            f"This command needs deployments/{name}, which comes with the package.",
            "It was not found in the package or next to it.",
            "Reinstall imdb-classifier.",
        )
    return found


def configured_deployments() -> list[dict[str, Any]]:
    """Return the deployments of ``prefect.yaml``, as they are written there."""
    return _entries("prefect.yaml", "deployments")


def configured_automations() -> list[dict[str, Any]]:
    """Return the automations of ``automations.yaml``, as they are written there."""
    return _entries("automations.yaml", "automations")


def _entries(name: str, key: str) -> list[dict[str, Any]]:
    import yaml  # comes with Prefect

    content: dict[str, Any] = yaml.safe_load(deployments_file(name).read_text("utf-8"))
    entries: list[dict[str, Any]] = content[key]
    return entries
