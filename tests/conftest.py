"""What tests of several modules share."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imdb_classifier.bundle import Bundle
from imdb_classifier.config import EncodingConfig, NetworkConfig, Recipe, TrainingConfig
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


@pytest.fixture(scope="session")
def small_network() -> Callable[..., tuple[Any, Recipe]]:
    """Builds networks whose weights, biases included, are large enough for every gate to matter."""
    from imdb_classifier.network import build_network, round_vectors

    def build(
        masked: bool, units: int = 3, sequence_length: int = 20, pair_slots: int = 0
    ) -> tuple[Any, Recipe]:
        recipe = Recipe(
            name="test",
            encoding=EncodingConfig(num_words=12, sequence_length=sequence_length),
            network=NetworkConfig(4, units, masked, pair_slots),
            training=TrainingConfig(
                epochs=1, batch_size=4, learning_rate=0.01, validation_fraction=0.5
            ),
        )
        model = build_network(recipe.encoding, recipe.network)
        generator = np.random.default_rng(3)
        model.set_weights([generator.normal(0, 0.7, w.shape) for w in model.get_weights()])
        if pair_slots:
            round_vectors(model)
        return model, recipe

    return build


@pytest.fixture(scope="session")
def unpack() -> Callable[[tarfile.TarFile, Path], None]:
    """Unpacks an archive into a folder."""

    def unpack(archive: tarfile.TarFile, folder: Path) -> None:
        # By attribute: the argument `filter` is newer than Python 3.11.0.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)

    return unpack


@pytest.fixture
def score(scorer: Scorer, tmp_path: Path) -> Callable[..., FileResult]:
    """Scores ``in.parquet`` to ``out.parquet`` in the test's folder."""
    source, target = (str(tmp_path / name) for name in ("in.parquet", "out.parquet"))
    listed = str(tmp_path / "_quarantine" / "in.parquet")
    planned = PlannedFile(source, target, "in.parquet", listed)

    def score(options: ScoreOptions | None = None, **named: Any) -> FileResult:
        chosen = named.pop("scorer", scorer)
        return score_file(planned, chosen, options or ScoreOptions(), **named)

    return score
