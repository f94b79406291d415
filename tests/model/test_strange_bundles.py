"""Bundles of strangers, whose checksums all match."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import (
    EVALUATION_FILE,
    KERAS_FILE,
    MANIFEST_FILE,
    NGRAMS_FILE,
    ONNX_FILE,
    SUMS_FILE,
    VOCABULARY_FILE,
    Bundle,
    load_bundle,
    model_hash_of,
)
from imdb_classifier.model.bundle_writer import with_evaluation
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.text.batch_profile import SCORE_BINS, BatchProfile
from tests.command_line import SAMPLE, Run
from tests.model.test_bundle import change_manifest, rewrite_sums

ENGINES: Final[list[EngineChoice]] = ["compiled", "onnx"]
CONTROLS: Final = "\x1b[31m\n"
WRONG: Final[list[Any]] = [None, CONTROLS, "\ud800", [], {}, -1, 10**400]


@pytest.fixture(params=["tiny", "bundled"])
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "tiny":
        source = request.getfixturevalue("tiny_bundle").path
    else:
        source = bundled_path()
    return Path(shutil.copytree(source, tmp_path / "bundle"))


@pytest.fixture
def tiny(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def forge(folder: Path) -> None:
    """Make hash, id and checksums those of the changed files."""

    def change(manifest: dict[str, Any]) -> None:
        recipe = Recipe.from_dict(manifest["recipe"])
        names = (ONNX_FILE, VOCABULARY_FILE, NGRAMS_FILE)
        files = [(folder / name).read_bytes() for name in names if (folder / name).exists()]
        manifest["model_hash"] = model_hash_of(files, recipe)
        manifest["model_id"] = f"{recipe.name}-{manifest['model_hash'][:12]}"

    change_manifest(folder, change)


def _outside(model: Any) -> None:
    """Reads a weight from the working folder."""
    (bias,) = (c for c in model.graph.initializer if c.name == "output_bias")
    Path("weights.bin").write_bytes(bias.raw_data)
    bias.ClearField("raw_data")
    bias.data_location = 1
    bias.external_data.add(key="location", value="weights.bin")


def _huge(model: Any) -> None:
    """Repeats a row until no memory is left."""
    from onnx import helper, numpy_helper

    times = np.array([1 << 40], np.int64)
    model.graph.initializer.append(numpy_helper.from_array(times, "times"))
    (last,) = (
        node for node in model.graph.node if node.op_type == "Reshape" and "flat" in node.input
    )
    last.output[0] = "flattened"
    model.graph.node.append(helper.make_node("Tile", ["flattened", "times"], ["probability"]))


def _inner(model: Any) -> None:
    """Hides a graph in an attribute."""
    from onnx import helper

    node = model.graph.node[-1]
    node.attribute.append(helper.make_attribute("inner", model.graph))


def _shape(model: Any) -> None:
    (bias,) = (c for c in model.graph.initializer if c.name == "output_bias")
    bias.dims[0] = 1 << 40


def _other_constant(model: Any) -> None:
    (flat,) = (c for c in model.graph.initializer if c.name == "flat")
    flat.raw_data = np.array([1], np.int64).tobytes()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("change", [_outside, _huge, _inner, _shape, _other_constant])
def test_a_graph_is_that_of_its_recipe_with_all_weights_inside(
    copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: EngineChoice,
    change: Callable[[Any], None],
) -> None:
    onnx = pytest.importorskip("onnx", reason="changes a graph with it")
    monkeypatch.chdir(tmp_path)
    assert load_bundle(copy, engine).engine.name == engine
    model = onnx.load(copy / ONNX_FILE)
    change(model)
    (copy / ONNX_FILE).write_bytes(model.SerializeToString())
    forge(copy)
    with pytest.raises(BundleError, match="graph of a model bundle must be the one that"):
        load_bundle(copy, engine)


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_graph_that_is_cut_is_refused(tiny: Path, length: int) -> None:
    file = tiny / ONNX_FILE
    file.write_bytes(file.read_bytes()[:length])
    forge(tiny)
    with pytest.raises(BundleError, match="graph of a model bundle must be the one that"):
        load_bundle(tiny)


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value inside of a JSON value; of lists, the first entry's."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], *path, key)
    elif isinstance(value, list) and value:
        yield from places(value[0], *path, 0)


EVALUATION: Final[dict[str, Any]] = {
    "rows": 3,
    "figures": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}},
    "profile": BatchProfile(words=3).to_dict(),
}


@pytest.mark.parametrize("name", [MANIFEST_FILE, EVALUATION_FILE])
def test_other_values_are_refused_or_do_no_harm(
    tiny_bundle: Bundle, tmp_path: Path, run: Run, name: str
) -> None:
    copy = with_evaluation(tiny_bundle, json.dumps(EVALUATION), "", tmp_path / "bundle").path
    text = (copy / name).read_text("utf-8")
    values = itertools.cycle(WRONG)
    codes = set()
    for path in [*places(json.loads(text))] * 2:
        value = next(values)
        changed = json.loads(text)
        *above, last = path
        reduce(getitem, above, changed)[last] = value
        (copy / name).write_text(json.dumps(changed))
        rewrite_sums(copy)
        outcome = run("models", "show", copy)
        assert outcome.code in (0, 65), (path, value, outcome.err)
        assert all(letter.isprintable() or letter == "\n" for letter in outcome.out)
        codes.add(outcome.code)
    assert codes == {0, 65}


def _other_name(manifest: dict[str, Any]) -> None:
    manifest["recipe"]["name"] = CONTROLS
    manifest["model_id"] = f"{CONTROLS}-{manifest['model_hash'][:12]}"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda manifest: manifest.update(model_id=CONTROLS), 65),
        (lambda manifest: manifest.update(created_at=CONTROLS), 65),
        # ISO 8601 wants a T there; Python takes any character.
        (lambda manifest: manifest.update(created_at="2026-11-02\x1b10:00:00"), 0),
        (lambda manifest: manifest.update(package_version=CONTROLS, format_version=2), 65),
        (_other_name, 65),
    ],
    ids=["model_id", "created_at", "separator", "package_version", "name"],
)
def test_a_manifest_never_controls_a_terminal(
    tiny_bundle: Bundle,
    tmp_path: Path,
    run: Run,
    change: Callable[[dict[str, Any]], None],
    code: int,
) -> None:
    version = tmp_path / "registry" / "versions" / tiny_bundle.model_id
    change_manifest(Path(shutil.copytree(tiny_bundle.path, version)), change)
    score = ("score", SAMPLE, tmp_path / "out.parquet", "--allow-unapproved", "--model", version)
    for command, expected in (
        (("models", "list"), 0),
        (("models", "show", version), code),
        (score, code),
    ):
        for arguments in (command, (*command, "--json")):
            outcome = run(*arguments)
            assert outcome.code == expected
            assert all(letter.isprintable() or letter == "\n" for letter in "".join(outcome[1:]))
        assert (code == 65) == ("is damaged" in run("models", "list").err)


@pytest.mark.parametrize(
    "histogram",
    [
        3,
        {"positives": [1] * SCORE_BINS},
        *(
            {"negatives": counts, "positives": [1] * SCORE_BINS}
            for counts in ([1], [-1] * SCORE_BINS, [0.5] * SCORE_BINS, [10**400] * SCORE_BINS, "x")
        ),
    ],
    ids=repr,
)
def test_reviews_are_counted_by_score(tiny_bundle: Bundle, tmp_path: Path, histogram: Any) -> None:
    evaluation = {**EVALUATION, "histogram": histogram}
    with pytest.raises(BundleError, match=r"evaluation\.json is not that of a model"):
        with_evaluation(tiny_bundle, json.dumps(evaluation), "", tmp_path / "bundle")


@pytest.mark.parametrize("golden", [[], [{"text": "x" * 70_000, "probability": 0.5}]])
def test_there_are_golden_texts_and_not_too_many(tiny: Path, golden: list[Any]) -> None:
    change_manifest(tiny, lambda manifest: manifest.update(golden=golden))
    with pytest.raises(BundleError, match=r"manifest\.json is not that of a model"):
        load_bundle(tiny)


def test_sums_are_no_link(tiny: Path) -> None:
    (tiny / SUMS_FILE).rename(tiny.parent / "sums")
    (tiny / SUMS_FILE).symlink_to(tiny.parent / "sums")
    with pytest.raises(BundleError, match="SHA256SUMS is missing or not a regular file"):
        load_bundle(tiny)


@pytest.mark.parametrize("name", [SUMS_FILE, KERAS_FILE, VOCABULARY_FILE])
def test_a_file_that_would_fill_the_memory_is_not_read(tiny: Path, name: str) -> None:
    os.truncate(tiny / name, 1 << 40)  # takes no space
    with pytest.raises(BundleError, match=f"{name} is larger than (16|256) MiB"):
        load_bundle(tiny)


@pytest.mark.parametrize(
    "listed",
    [np.arange(9, dtype=np.uint32)[::-1], np.arange(9), np.arange(550_001, dtype=np.uint32),
     np.zeros((3, 3), np.uint32), np.array(["x"], object)],
    ids=["order", "type", "too many", "two dimensions", "objects"],
)  # fmt: skip
def test_ngrams_are_fingerprints_in_order(tmp_path: Path, listed: NDArray[Any]) -> None:
    copy = Path(shutil.copytree(bundled_path(), tmp_path / "bundle"))
    np.save(copy / NGRAMS_FILE, listed, allow_pickle=True)
    forge(copy)
    with pytest.raises(BundleError, match=r"ngrams\.npy is not that of a model"):
        load_bundle(copy)
