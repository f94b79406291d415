"""A scorer in processes that its own one starts, or that receive it by pickle."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.frames import score_dataframe
from imdb_classifier.scoring.kept_bundles import release_model
from imdb_classifier.scoring.scorer import Scorer
from tests.waiting import PATIENCE_SECONDS

TEXTS = pa.array(["A lovely film.", "Dull, loud and badly cut.", None] * 500)
START_METHODS = multiprocessing.get_all_start_methods()


@pytest.fixture
def used(tiny_bundle: Bundle) -> Iterator[Scorer]:
    """A scorer that has scored so much that all of its threads run."""
    with Scorer(tiny_bundle, threads=2) as scorer:
        scorer.probabilities(pa.concat_arrays([TEXTS] * 10))
        yield scorer


def put_scores(scorer: Scorer, queue: SimpleQueue[list[float | None]]) -> None:
    queue.put(scorer.probabilities(TEXTS).to_pylist())


def put_error(scorer: Scorer, queue: SimpleQueue[str]) -> None:
    try:
        scorer.probabilities(TEXTS)
    except Exception as error:
        queue.put(f"{type(error).__name__}: {error}")
    else:
        queue.put("none")


@pytest.mark.skipif("fork" not in START_METHODS, reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_scores_with_the_scorer_that_it_inherits(used: Scorer) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=put_scores, args=(used, queue), daemon=True)
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0
    assert queue.get() == used.probabilities(TEXTS).to_pylist()


@pytest.mark.skipif("fork" not in START_METHODS, reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_closed_scorer_stays_closed_in_a_forked_process(tiny_bundle: Bundle) -> None:
    scorer = Scorer(tiny_bundle)
    scorer.close()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=put_error, args=(scorer, queue), daemon=True)
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0
    assert queue.get() == "RuntimeError: cannot schedule new futures after shutdown"


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_pool_scores(used: Scorer, method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        parts = [pool.submit(used.probabilities, TEXTS) for _ in range(2)]
        found = [part.result(PATIENCE_SECONDS) for part in parts]
    assert found == [used.probabilities(TEXTS)] * 2


def test_joblib_scores_in_processes(used: Scorer) -> None:
    joblib = pytest.importorskip("joblib")
    calls = [joblib.delayed(used.probabilities)(TEXTS)] * 2
    found = joblib.Parallel(n_jobs=2, timeout=PATIENCE_SECONDS)(calls)
    assert found == [used.probabilities(TEXTS)] * 2


def test_dask_scores_the_partitions_of_a_frame_in_processes(used: Scorer) -> None:
    frames = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame({"text": TEXTS.to_pylist(), "id": range(len(TEXTS))})
    scored = frames.from_pandas(frame, npartitions=3).map_partitions(
        score_dataframe, model=used, meta=score_dataframe(frame.head(0), model=used)
    )
    found = scored.compute(scheduler="processes", num_workers=2)
    expected = score_dataframe(frame, model=used)
    assert found["sentiment_probability"].equals(expected["sentiment_probability"])
    both = (one["sentiment_label"].fillna("").tolist() for one in (found, expected))
    assert next(both) == next(both)


def test_tasks_of_an_event_loop_score_at_the_same_time(used: Scorer) -> None:
    async def score() -> list[Any]:
        calls = (asyncio.to_thread(used.probabilities, TEXTS) for _ in range(4))
        return await asyncio.gather(*calls)

    assert asyncio.run(score()) == [used.probabilities(TEXTS)] * 4


def test_a_process_loads_a_model_once_however_often_it_is_unpickled(used: Scorer) -> None:
    pickled = pickle.dumps(used)
    assert len(pickled) < 1_000
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    assert first.bundle is second.bundle
    assert first.threads == used.threads
    assert first.probabilities(TEXTS) == second.probabilities(TEXTS) == used.probabilities(TEXTS)


def test_another_model_at_the_same_place_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(tiny_bundle.path, place)
    pickled = pickle.dumps(Scorer(load_bundle(place, "onnx")))
    assert pickle.loads(pickled).bundle.engine.name == "onnx"
    release_model()
    shutil.rmtree(place)
    shutil.copytree(bundled_path(), place)
    with pytest.raises(BundleError, match="All processes must use the same model"):
        pickle.loads(pickled)


def test_the_bundled_model_is_found_where_the_package_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Scorer(load_bundle(bundled_path())) as scorer:
        pickled = pickle.dumps(scorer)
    elsewhere = tmp_path / "installed"
    shutil.copytree(bundled_path(), elsewhere)
    monkeypatch.setattr("imdb_classifier.scoring.scorer.bundled_path", lambda: elsewhere)
    assert pickle.loads(pickled).bundle.location == str(elsewhere)
