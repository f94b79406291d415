"""Recipes of the user's own, in TOML files."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from imdb_classifier.config import PRODUCTION, RECIPES, Recipe, recipe
from imdb_classifier.errors import ConfigurationError, NoInputError, listed
from imdb_classifier.settings import part_of

_SUFFIX: Final = ".toml"
_NONE: Final = "none"
_LARGEST: Final = 1 << 20
PARTS: Final = ("encoding", "network", "training", "regularization", "teachers")


def chosen_recipe(name: str | os.PathLike[str]) -> Recipe:
    """Return a recipe by its name, or from a TOML file.

    Args:
        name: ``production``, ``seed`` or ``tiny``, or the path of a file that ends in ``.toml``. It
            may name another recipe as ``base`` (default: ``production``), and has the settings that
            differ from it, in the tables ``encoding``, ``network``, ``training``,
            ``regularization`` and ``teachers``. Its ``name`` is that of the file by default.

    Raises:
        ConfigurationError: There is no such recipe; or the file is not TOML, has an unknown
            setting, or one of the wrong type or out of range.
        NoInputError: The file does not exist.
    """
    if not os.fspath(name).endswith(_SUFFIX):
        return recipe(os.fspath(name))
    path = Path(name)
    values = _read(path)
    base = recipe(values.pop("base", PRODUCTION.name))
    parts = {part: getattr(base, part) for part in PARTS}
    called = values.pop("name", path.stem)
    _check_names(path, "", values, PARTS)
    for part, given in values.items():
        start = PRODUCTION.teachers if part == "teachers" else None
        parts[part] = _changed(path, part, parts[part] or start, given)
    found = Recipe(name=called, **parts)
    if called in RECIPES and found != RECIPES[called]:
        raise ConfigurationError(
            f"A recipe of one's own must have another name than {', '.join(RECIPES)}.",
            f"{path} is named {called}.",
            'Rename the file, or add a line such as name = "mine" at its top.',
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NoInputError(
            "The file of a recipe must exist.", f"There is no {path}.", "Check `recipe`."
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "The file of a recipe must be readable TOML.", f"{path} is not: {error}.", "Correct it."
        ) from error
    for name in ("base", "name"):
        if not isinstance(values.get(name, ""), str):
            raise _wrong(path, f"{name} is not a string")
    return values


def _changed(path: Path, part: str, start: Any, given: object) -> Any:
    """Return a part of a recipe with some settings replaced, or without it if it may be absent."""
    if part == "teachers" and given == _NONE:
        return None
    if not isinstance(given, Mapping):
        raise _wrong(path, f"{part} is not a table")
    _check_names(path, f"{part}.", given, [field.name for field in fields(start)])
    values = {name: None if value == _NONE else value for name, value in given.items()}
    try:
        return part_of(type(start), vars(start) | values)
    except TypeError as error:
        raise _wrong(path, f"{part}.{error}") from error


def _check_names(path: Path, prefix: str, given: Mapping[str, Any], known: Any) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        close = get_close_matches(unknown[0], known, 1)
        meant = f" (did you mean {prefix}{close[0]}?)" if close else ""
        raise _wrong(path, f"{prefix}{unknown[0]} is unknown{meant}; known are {listed(known, 30)}")


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        "The file of a recipe may have only known settings, each of its type.",
        f"In {path}, {what}.",
        "Correct it; the documentation lists all settings under Recipes.",
    )
