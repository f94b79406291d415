"""Limits that users set by name, each a number from 0 up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from imdb_classifier.errors import ConfigurationError

T = TypeVar("T")


def limits_of(kind: type[T], limits: Mapping[str, float], *, called: str, example: str) -> T:
    """A dataclass of limits with its defaults, but for those that are given.

    Args:
        kind: The dataclass; its fields are numbers.
        limits: By name.
        called: What they are called, to begin a sentence with.
        example: How one of them is set on the command line.

    Raises:
        ConfigurationError: There is no such limit, or it is no number from 0 up.
    """
    given: Any = kind
    names = [field.name for field in fields(given)]
    for name, limit in limits.items():
        if name not in names or not limit >= 0:
            raise ConfigurationError(
                f"{called} are {', '.join(names)}, each a number from 0 up.",
                f"{name} with {limit} is none.",
                f"Use for example {example}.",
            )
    return kind(**limits)
