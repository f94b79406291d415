"""Options that decide which rows of scored files are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from imdb_classifier.errors import ConfigurationError


@dataclass(frozen=True)
class SampleOptions:
    """How many rows to draw, and which.

    Attributes:
        half_width: Wanted half width of the 95 % interval of the accuracy: 0.02 is 2 points.
        rows: Number of rows to draw. Default: as many as half_width needs.
        seed: Random seed of the draw. With the same seed, a larger sample of the same files
            contains the smaller one.

    Raises:
        ConfigurationError: ``half_width`` is not between 0 and 0.5, ``rows`` is not positive, or
            ``seed`` is negative.
    """

    half_width: float = 0.02
    rows: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.half_width < 0.5:
            raise ConfigurationError(
                "`half_width` must be a share between 0 and 0.5: 2 points are 0.02.",
                f"It is {self.half_width}.",
                "Choose another `half_width`.",
            )
        if self.rows is not None and self.rows < 1:
            raise ConfigurationError(
                "`rows` must be at least 1.", f"It is {self.rows}.", "Choose another `rows`."
            )
        if self.seed < 0:
            raise ConfigurationError(
                "`seed` must be at least 0.", f"It is {self.seed}.", "Choose another `seed`."
            )
