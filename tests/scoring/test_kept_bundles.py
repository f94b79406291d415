"""The model that a process keeps in memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest

from imdb_classifier import release_model, score_dataframe
from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring import kept_bundles

GOOD = "A wonderful, moving film."


def test_the_model_used_last_is_kept_until_another_is_at_its_place_or_it_is_released(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = Mock(wraps=load_bundle)
    monkeypatch.setattr(kept_bundles, "load_bundle", loads)
    release_model()
    place = tmp_path / "model"
    shutil.copytree(tiny_bundle.path, place)
    first = score_dataframe([GOOD], model=place)
    pd.testing.assert_frame_equal(score_dataframe([GOOD], model=place), first)
    assert loads.call_count == 1
    shutil.rmtree(place)
    shutil.copytree(bundled_path(), place)
    assert not score_dataframe([GOOD], model=place).equals(first)
    assert loads.call_count == 2
    release_model()
    score_dataframe([GOOD], model=place)
    assert loads.call_count == 3
    (place / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        score_dataframe([GOOD], model=place)
    release_model()
