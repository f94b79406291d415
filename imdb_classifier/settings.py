"""Settings from plain values, and checks of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from imdb_classifier.errors import ConfigurationError

Part = TypeVar("Part")


def require(holds: bool, rule: str, name: str, value: object) -> None:
    """Check that a rule holds.

    Raises:
        ConfigurationError: It does not hold.
    """
    if not holds:
        raise ConfigurationError(rule, f"{name} is {value!r}.", f"Choose another value for {name}.")


def at_least(part: object, least: int, *names: str) -> None:
    """Check that some settings of a part are at least a number."""
    for name in names:
        value = getattr(part, name)
        require(value >= least, f"{name} must be at least {least}.", name, value)


def positive(part: object, *names: str) -> None:
    """Check that some settings of a part are positive."""
    for name in names:
        value = getattr(part, name)
        require(value > 0, f"{name} must be positive.", name, value)


def share(part: object, *names: str) -> None:
    """Check that some settings of a part are in [0, 1)."""
    for name in names:
        value = getattr(part, name)
        require(0 <= value < 1, f"{name} must be in [0, 1).", name, value)


def part_of(kind: type[Part], values: Mapping[str, Any]) -> Part:
    """Return a dataclass of plain values, each of the type that its annotation names.

    Raises:
        TypeError: A value is missing, unknown, or of another type.
        ConfigurationError: A value is out of range.
    """
    types = {field.name: str(field.type).split(" | ") for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    given = {}
    for name, value in values.items():
        allowed = types.get(name, ())
        if type(value) is int and "float" in allowed:
            value = float(value)
        if name not in types:
            raise TypeError(f"{name} is unknown")
        if ("None" if value is None else type(value).__name__) not in allowed:
            raise TypeError(f"{name} is of type {type(value).__name__}, not {' or '.join(allowed)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise TypeError(f"{name} is {value}")
        given[name] = value
    return kind(**given)


def limits_of(
    kind: type[Part],
    limits: Mapping[str, float],
    *,
    called: str,
    parameter: str,
    shares: Collection[str] = (),
) -> Part:
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
