"""Fixtures that tests of several modules share."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas  # noqa: F401 - before a command lets pyarrow do without it
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from pyarrow import fs

from imdb_classifier import cli, storage
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.scored_file import score_file
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.run import BatchRun
from imdb_classifier.config import (
    EncodingConfig,
    NetworkConfig,
    Recipe,
    TeachersConfig,
    TrainingConfig,
)
from imdb_classifier.evaluation.promotion import Check
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline import promote
from imdb_classifier.reviews import sources
from imdb_classifier.reviews.sources import DATA_VARIABLE
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from tests.command_line import Outcome, Run
from tests.crafted import with_words
from tests.servers import serving

pytest_plugins = ["tests.browser", "tests.options"]

# Built into Hypothesis: the same examples in every run, without a deadline.
settings.load_profile("ci")

TINY_SEED = 7
TINY_VARIABLE = "IMDB_CLASSIFIER_TESTS_TINY"
"""Environment variable: a folder that keeps the model of recipe `tiny` for later runs of pytest."""
FLOWS, TRAINING = (Path(__file__).parent / folder for folder in ("flows", "training"))


# Before xdist, which looks for groups then.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Keep all tests of a file in one process, and all files that need the Prefect server.

    These begin, as they take longest; then come the other tests of flows, and those of training.
    """
    in_need = {
        item.path
        for item in items
        if item.path.is_relative_to(FLOWS) and "server" in item.fixturenames
    }
    for item in items:
        group = FLOWS if item.path in in_need else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))
    items.sort(
        key=lambda item: (
            item.path not in in_need,
            *(not item.path.is_relative_to(folder) for folder in (FLOWS, TRAINING)),
        )
    )


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of recipe `tiny`, trained once on the bundled samples; tests must not change it."""
    from imdb_classifier.pipeline.train import train_bundle

    work = os.environ.get(TINY_VARIABLE) or tmp_path_factory.mktemp("tiny")
    return train_bundle(str(FOLDER), "tiny", TINY_SEED, work)


@pytest.fixture(scope="session")
def twins(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Three models that score as the tiny one does, each with another word at the end."""

    folder = tmp_path_factory.mktemp("twins")
    words = tiny_bundle.vocabulary.words.to_pylist()
    return [
        with_words(tiny_bundle, [*words, word], folder / word)
        for word in ("quuxa", "quuxb", "quuxc")
    ]


@pytest.fixture(scope="session")
def found_afresh() -> dict[str, Check]:
    """What new processes said of the models that they loaded, by the models' hashes."""
    return {}


@pytest.fixture
def loaded_afresh_once(found_afresh: dict[str, Check], monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads each model in a new process once, however many decisions there are on it."""
    load_afresh = promote._load_afresh

    def loaded(bundle: Bundle) -> Check:
        known = found_afresh.get(bundle.model_hash)
        return found_afresh.setdefault(bundle.model_hash, known or load_afresh(bundle))

    monkeypatch.setattr(promote, "_load_afresh", loaded)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 labeled reviews of kitchen appliances, as a Parquet file."""
    things = ["kettle", "toaster", "grinder", "blender", "pan", "whisk", "oven", "fridge", "scale"]
    verdicts = {
        1: ["works perfectly", "is a joy to use", "is the best I had", "is excellent", "shines"],
        0: ["broke at once", "is a waste of money", "leaks", "is loud and ugly", "was terrible"],
    }
    rows = [
        (f"The {thing} {verdict}{end}", label)
        for thing in things
        for label, said in verdicts.items()
        for verdict in said
        for end in (".", " so far.")
    ][:120]
    file = tmp_path_factory.mktemp("own") / "shop.parquet"
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"text": texts, "label": labels}), file)
    return file


@pytest.fixture(scope="session")
def stars(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reviews of `shop` with 1 and 5 stars as labels."""
    file = tmp_path_factory.mktemp("stars") / "stars.parquet"
    rows = pq.read_table(shop).to_pydict()
    labels = [5 if label else 1 for label in rows["label"]]
    pq.write_table(pa.table({"text": rows["text"], "label": labels}), file)
    return file


@pytest.fixture(scope="session")
def scorer(tiny_bundle: Bundle) -> Iterator[Scorer]:
    with Scorer(tiny_bundle) as scorer:
        yield scorer


@pytest.fixture(scope="session")
def small_network() -> Callable[..., tuple[Any, Recipe]]:
    """Builds networks with weights and biases large enough for every gate to matter."""
    from imdb_classifier.model.network import build_network
    from imdb_classifier.model.weights import NGRAM_WEIGHTS_LAYER, rounded

    def build(
        masked: bool,
        units: int = 3,
        sequence_length: int = 20,
        ngrams: int = 0,
        lstm_tokens: int = 0,
        ngram_parts: bool = False,
    ) -> tuple[Any, Recipe]:
        recipe = Recipe(
            name="test",
            encoding=EncodingConfig(12, sequence_length, ngram_parts=ngram_parts),
            network=NetworkConfig(4, units, masked, ngrams, lstm_tokens),
            training=TrainingConfig(
                epochs=1, batch_size=4, learning_rate=0.01, validation_fraction=0.5
            ),
            teachers=TeachersConfig(1, 4, 1, 0.5) if ngrams else None,
        )
        model = build_network(recipe.encoding, recipe.network, TINY_SEED)
        generator = np.random.default_rng(3)
        model.set_weights([generator.normal(0, 0.7, w.shape) for w in model.get_weights()])
        if ngrams:
            for name in ("words", NGRAM_WEIGHTS_LAYER):
                layer = model.get_layer(name)
                table = rounded(layer.get_weights()[0])
                table[0] = 0  # padding
                layer.set_weights([table])
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

    def score(
        options: ScoreOptions | None = None,
        *,
        scorer: Scorer = scorer,
        selection: Selection | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> FileResult:
        with BatchRun.open(
            source, target, scorer.bundle.model_hash, options, selection=selection
        ) as run:
            (file,) = run.assessed
            if isinstance(file, FileResult):
                return file
            return score_file(file, scorer, run.options, on_rows=on_rows)[0]

    return score


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of an S3-compatible server."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p"]
    with serving("the object store", lambda port: [*command, str(port)]) as server:
        yield f"http://{server}"


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URI of a new, empty bucket for one test."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": object_store,
    }.items():
        monkeypatch.setenv(name, value)
    storage.object_storage.cache_clear()
    name = tmp_path.name.replace("_", "-")[-40:].strip("-")
    fs.S3FileSystem(endpoint_override=object_store, allow_bucket_creation=True).create_dir(name)
    yield f"s3://{name}"
    storage.object_storage.cache_clear()


@pytest.fixture
def run(
    empty_caches: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Runs the command line in this process, with a registry and a cache of its own."""
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "registry"))

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["imdb-classifier", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        assert isinstance(code, int)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def publish(empty_caches: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], None]:
    """Makes a local file pass for a published one, at an address where nothing listens."""

    def publish(path: Path, name: str) -> None:
        file = getattr(sources, name)
        digest = hashlib.new(file.algorithm, path.read_bytes()).hexdigest()
        here = replace(file, url="http://127.0.0.1:1/", digest=digest)
        monkeypatch.setattr(sources, name, here)

    return publish
