"""Every path that a command or function takes can be in an object store."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Mapping
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier import storage
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import (
    BundleError,
    CannotWriteError,
    UnavailableError,
    UnknownModelError,
)
from imdb_classifier.evaluation.report import write_report
from imdb_classifier.model.bundle import SUMS_FILE, Bundle, load_bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.pipeline.promote import register_bundle
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import storage_of
from tests.command_line import Run
from tests.waiting import PATIENCE_SECONDS

KILLS = 10
FILES, ROWS = 8, 1_500


@pytest.fixture
def registry(tiny_bundle: Bundle, bucket: str) -> Registry:
    registry = Registry.at(f"{bucket}/models/")
    register_bundle(tiny_bundle, evaluate_bundle(tiny_bundle, str(FOLDER))[0], registry)
    return registry


def test_every_path_may_be_an_object_s(
    bucket: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", f"{bucket}/registry")
    for file in FOLDER.glob("*.parquet"):
        with storage_of(bucket).writing(f"{bucket}/imdb/{file.name}") as name:
            Path(name).write_bytes(file.read_bytes())
    data = ("--data", f"{bucket}/imdb")
    extra = f"{bucket}/imdb/train-00000-of-00001.parquet"
    outcome = run("train", *data, "--recipe", "tiny", "--extra-train", extra, "--json")
    assert outcome.code == 0
    model, report = outcome.json["model_id"], outcome.json["report"]["report.html"]
    assert report.startswith(f"{bucket}/registry/reports/{model}/")
    assert storage_of(report).read_text(report).startswith("<!doctype html>")
    assert run("models", "promote", model, *data).code in (0, 3)
    listed = run("models", "list", "--json").json["models"]
    assert {"id": model, "aliases": ["challenger"]}.items() <= listed[0].items()
    by_path = f"{bucket}/registry/versions/{model}"
    assert run("models", "show", by_path, "--json").json["path"] == by_path
    report_to = ("--output", f"{bucket}/report")
    assert run("evaluate", *data, "--model", "@challenger", *report_to).code == 0
    assert len(storage_of(bucket).find(f"{bucket}/report").names) == 3
    places = (f"{bucket}/imdb/test-*.parquet", f"{bucket}/scored")
    unapproved = ("--model", "@challenger", "--allow-unapproved")
    assert run("plan", *places, *unapproved, "--json").json["totals"]["files_to_score"] == 1
    assert run("score", *places, *unapproved, "--json").json["model_id"] == model
    assert run("verify", f"{bucket}/scored", "--json").json["problems"] == []
    # Training has left nothing on this machine.
    assert not any((tmp_path / "cache").rglob("*.onnx"))


def test_a_registry_in_an_object_store(registry: Registry, tiny_bundle: Bundle) -> None:
    bundled = registry.load(CHAMPION)
    assert registry.ids() == [tiny_bundle.model_id]
    assert registry.promote("@challenger") == tiny_bundle.model_id
    champion = registry.load(CHAMPION)
    assert champion.location == f"{registry.root}/versions/{tiny_bundle.model_id}"
    assert champion.evaluation is not None
    assert (champion.path / "README.md").is_file()
    # Only one copy is fetched.
    assert registry.load(champion.location).path == champion.path
    assert registry.promote("@previous") == bundled.model_id
    assert registry.aliases() == {
        "challenger": tiny_bundle.model_id,
        "champion": bundled.model_id,
        "previous": tiny_bundle.model_id,
    }


def test_a_version_is_one_once_its_sums_are_there(registry: Registry, tiny_bundle: Bundle) -> None:
    folder = f"{registry.root}/versions/{tiny_bundle.model_id}"
    storage_of(folder).delete(f"{folder}/{SUMS_FILE}")
    assert registry.ids() == []
    with pytest.raises(UnknownModelError, match=f"'{tiny_bundle.model_id}' is none of these"):
        registry.load(tiny_bundle.model_id)
    with pytest.raises(BundleError, match=f"a folder with a {SUMS_FILE}"):
        registry.load(folder)
    # What an upload that was cut left is written again.
    register_bundle(tiny_bundle, evaluate_bundle(tiny_bundle, str(FOLDER))[0], registry)
    assert registry.load(tiny_bundle.model_id).model_id == tiny_bundle.model_id


def test_a_bundle_that_changed_is_fetched_again(registry: Registry, tiny_bundle: Bundle) -> None:
    folder = f"{registry.root}/versions/{tiny_bundle.model_id}"
    load_bundle(folder)
    storage_of(folder).write_text(f"{folder}/vocabulary.txt", "changed\n")
    with pytest.raises(BundleError, match=r"vocabulary\.txt does not match its SHA-256 checksum"):
        load_bundle(folder)


def test_a_store_that_cannot_be_reached_is_named(
    registry: Registry,
    bucket: str,
    scorer: Scorer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = str(tmp_path / "in.parquet")
    pq.write_table(pa.table({"text": ["Fine."]}), name)
    score_parquet(name, f"{bucket}/out.parquet", scorer)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    storage.object_storage.cache_clear()
    with pytest.raises(UnavailableError, match=r"must be readable\. Reading s3://.*/models fail"):
        registry.load(CHAMPION)
    with pytest.raises(UnavailableError, match=r"s3://.*/out\.parquet must be"):
        verify_output(f"{bucket}/out.parquet", scorer)


def test_a_bucket_that_is_not_there_is_named(bucket: str, tiny_bundle: Bundle) -> None:
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    with pytest.raises(CannotWriteError, match=r"s3://no-such-bucket/.* failed: .*another folder"):
        register_bundle(tiny_bundle, evaluation, Registry.at("s3://no-such-bucket/models"))
    with pytest.raises(CannotWriteError, match=r"no-such-bucket/report failed: .* choose another"):
        write_report(evaluation, "s3://no-such-bucket/report")


def score_in_a_process(
    environment: Mapping[str, str], bundle: str, source: str, output: str, ready: Event
) -> None:
    os.environ.update(environment)
    with Scorer(load_bundle(bundle), threads=2) as scorer:
        ready.set()
        score_parquet(source, output, scorer)


def test_killed_while_it_writes_objects(
    bucket: str, tiny_bundle: Bundle, scorer: Scorer, tmp_path: Path
) -> None:
    source, output = str(tmp_path / "in"), f"{bucket}/out"
    for number in range(FILES):
        texts = [f"A {'fine' if row % 3 else 'dull'} film, number {row}." for row in range(ROWS)]
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(pa.table({"text": texts}), f"{source}/{number}.parquet")

    def written() -> dict[str, bytes]:
        there = storage_of(output)
        names = set(there.find(output).names if there.kind(output) else ())
        if "_SUCCESS" not in names:
            names.discard("_MANIFEST.json")  # what there may be
        return {name: there.open(f"{output}/{name}").read() for name in names}

    began = time.perf_counter()
    assert score_parquet(source, output, scorer).exit_code == 0
    longest, undisturbed = time.perf_counter() - began, written()
    # Spawned: a store's client does not survive a fork.
    processes, chance = multiprocessing.get_context("spawn"), random.Random(5)
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    kills = 0
    while kills < KILLS:
        if "_SUCCESS" in written():
            for name in undisturbed:
                storage_of(output).delete(f"{output}/{name}")
        ready = processes.Event()
        arguments = (environment, str(tiny_bundle.path), source, output, ready)
        process = processes.Process(target=score_in_a_process, args=arguments)
        process.start()
        assert ready.wait(PATIENCE_SECONDS)
        process.join(chance.uniform(0, longest))
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        assert written().items() <= undisturbed.items()
        assert "_SUCCESS" not in written() or written() == undisturbed
    assert score_parquet(source, output, scorer).exit_code == 0
    assert written() == undisturbed
