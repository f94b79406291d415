"""Limits that users set by name, each a number of at least 0."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from imdb_classifier.errors import ConfigurationError

T = TypeVar("T")


def limits_of(
    kind: type[T],
    limits: Mapping[str, float],
    *,
    called: str,
    parameter: str,
    shares: Collection[str] = (),
) -> T:
    """Return a dataclass of limits: the given ones, and defaults for the others.

    Args:
        kind: The dataclass; its fields with a default number are limits.
        limits: Limits by name.
        called: What errors call them, at the start of a sentence.
        parameter: The parameter that they are given in.
        shares: Those that are shares, at most 1.

    Raises:
        ConfigurationError: There is no limit of that name, or its value is not at least 0, or that
            of a share above 1.
    """
    given: Any = kind
    names = [field.name for field in fields(given) if isinstance(field.default, float)]
    for name, limit in limits.items():
        if name not in names or not limit >= 0:
            raise ConfigurationError(
                f"{called} are {', '.join(names)}, each a number of at least 0.",
                f"{name}={limit} is not allowed.",
                f"Correct it in `{parameter}`.",
            )
        if name in shares and limit > 1:
            raise ConfigurationError(
                f"{called} {', '.join(shares)} are shares from 0 to 1: 90 % is 0.9.",
                f"{name}={limit} is not allowed.",
                f"Correct it in `{parameter}`.",
            )
    return kind(**limits)
