"""What tests of several modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imdb_classifier.bundle import Bundle
from imdb_classifier.parquet import FileResult, PlannedFile, ScoreOptions, score_file
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring import Scorer

TINY_SEED = 7


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of the recipe `tiny`, trained once on the embedded samples; not to be changed."""
    from imdb_classifier.jobs import train_bundle

    target = tmp_path_factory.mktemp("tiny") / "bundle"
    return train_bundle(str(FOLDER), "tiny", TINY_SEED, target)


@pytest.fixture(scope="session")
def scorer(tiny_bundle: Bundle) -> Iterator[Scorer]:
    with Scorer(tiny_bundle) as scorer:
        yield scorer


@pytest.fixture
def score(scorer: Scorer, tmp_path: Path) -> Callable[..., FileResult]:
    """Scores ``in.parquet`` to ``out.parquet`` in the test's folder."""
    planned = PlannedFile(tmp_path / "in.parquet", tmp_path / "out.parquet", "in.parquet")

    def score(options: ScoreOptions | None = None, **named: Any) -> FileResult:
        chosen = named.pop("scorer", scorer)
        return score_file(planned, chosen, options or ScoreOptions(), **named)

    return score
