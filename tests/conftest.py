"""What tests of several modules share."""

from __future__ import annotations

import pytest

from imdb_classifier.bundle import Bundle
from imdb_classifier.samples import FOLDER

TINY_SEED = 7


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of the recipe `tiny`, trained once on the embedded samples; not to be changed."""
    from imdb_classifier.jobs import train_bundle

    target = tmp_path_factory.mktemp("tiny") / "bundle"
    return train_bundle(str(FOLDER), "tiny", TINY_SEED, target)
