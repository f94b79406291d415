"""Limits that users may set by name, each a number from 0 up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

from imdb_classifier.errors import ConfigurationError


@dataclass(frozen=True)
class NamedLimits:
    """The base of dataclasses whose fields are such limits.

    Attributes:
        called: What they are called, to begin a sentence with.
        example: How one of them is set on the command line.
    """

    called: ClassVar[str]
    example: ClassVar[str]

    @classmethod
    def of(cls, limits: Mapping[str, float]) -> Self:
        """The usual limits, with some of one's own.

        Raises:
            ConfigurationError: There is no such limit, or it is no number from 0 up.
        """
        names = [field.name for field in fields(cls)]
        for name, limit in limits.items():
            if name not in names or not limit >= 0:
                raise ConfigurationError(
                    f"{cls.called} are {', '.join(names)}, each a number from 0 up.",
                    f"{name} with {limit} is none.",
                    f"Say for example {cls.example}.",
                )
        return cls(**limits)
