"""The model that a process keeps in memory."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import Barrier, Event
from unittest.mock import Mock

import pandas as pd
import pytest

from imdb_classifier import release_model, score_dataframe
from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring import kept_bundles
from tests.waiting import PATIENCE_SECONDS

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


def test_threads_that_use_a_model_first_at_the_same_time_load_it_once(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = Mock(wraps=load_bundle)
    monkeypatch.setattr(kept_bundles, "load_bundle", loads)
    release_model()
    together = Barrier(4)

    def score(_: int) -> pd.DataFrame:
        together.wait(PATIENCE_SECONDS)
        return score_dataframe([GOOD], model=tiny_bundle.path)

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(score, range(4))
    assert loads.call_count == 1
    for other in others:
        pd.testing.assert_frame_equal(other, first)
    release_model()


def put_label(place: Path, queue: SimpleQueue[str]) -> None:
    queue.put(score_dataframe([GOOD], model=place)["sentiment_label"][0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_is_forked_while_a_thread_loads_a_model_scores(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = Event()

    def load(location: str, engine: EngineChoice) -> Bundle:
        loading.set()
        return load_bundle(location, engine)

    monkeypatch.setattr(kept_bundles, "load_bundle", load)
    release_model()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(score_dataframe, [GOOD], model=tiny_bundle.path)
        assert loading.wait(PATIENCE_SECONDS)
        process = context.Process(target=put_label, args=(tiny_bundle.path, queue), daemon=True)
        process.start()
        process.join(PATIENCE_SECONDS)
        process.kill()
        assert process.exitcode == 0
        assert queue.get() == first.result()["sentiment_label"][0]
    release_model()
