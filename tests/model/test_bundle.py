from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imdb_classifier.errors import BundleError, CannotWriteError, ExportError, OutputExistsError
from imdb_classifier.model.bundle import (
    KERAS_FILE,
    LEARNED_FILE,
    MANIFEST_FILE,
    NGRAMS_FILE,
    ONNX_FILE,
    SUMS_FILE,
    TOLERANCE,
    VOCABULARY_FILE,
    Bundle,
    load_bundle,
)
from imdb_classifier.model.bundle_writer import GOLDEN_TEXTS, with_evaluation, write_bundle
from imdb_classifier.model.engines.keras_engine import KerasEngine
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.trained import TrainedModel
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.overlap import known_rows
from imdb_classifier.samples import FOLDER
from imdb_classifier.text.encoding import encode

FILES = [KERAS_FILE, LEARNED_FILE, ONNX_FILE, VOCABULARY_FILE, MANIFEST_FILE]
LEARNED = np.array([3, 5], np.uint64)


@pytest.fixture
def copy(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def rewrite_sums(folder: Path) -> None:
    """What a careful forger would do after changing a file."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS_FILE)
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / SUMS_FILE).write_text("".join(lines))


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    change(manifest)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest), "utf-8")
    rewrite_sums(folder)


def test_what_is_written_is_what_is_loaded(tiny_bundle: Bundle) -> None:
    loaded = load_bundle(tiny_bundle.path)
    assert loaded.recipe == tiny_bundle.recipe
    assert loaded.vocabulary.words.equals(tiny_bundle.vocabulary.words)
    assert loaded.model_id == f"tiny-{loaded.model_hash[:12]}"
    assert loaded.evaluation is None
    assert {path.name for path in tiny_bundle.path.iterdir()} == {
        *FILES, SUMS_FILE,
    }  # fmt: skip
    assert loaded.manifest["seed"] == 7
    assert loaded.manifest["data"]["rows"] == 178
    assert loaded.manifest["data"]["overlap_with_test"] == 0
    assert known_rows(load_reviews(str(FOLDER), "train").table, loaded.learned).all()
    assert not known_rows(load_reviews(str(FOLDER), "test").table, loaded.learned).any()
    assert len(loaded.manifest["history"]) == 4
    assert [golden["text"] for golden in loaded.manifest["golden"]] == list(GOLDEN_TEXTS)


def test_keras_file_and_graph_agree_on_real_text(tiny_bundle: Bundle) -> None:
    model = import_keras().models.load_model(tiny_bundle.path / KERAS_FILE)
    texts = load_reviews(str(FOLDER), "test").table["text"]
    sequences = encode(texts, tiny_bundle.vocabulary, tiny_bundle.recipe.encoding)
    keras = KerasEngine(model, tiny_bundle.recipe).probabilities(sequences)
    onnx = tiny_bundle.engine.probabilities(sequences)
    np.testing.assert_allclose(onnx, keras, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} does not match its SHA-256 checksum.*Restore"):
        load_bundle(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing or not a regular file"):
        load_bundle(copy)


def test_a_folder_without_sums_is_no_bundle(copy: Path) -> None:
    (copy / SUMS_FILE).unlink()
    with pytest.raises(BundleError, match="A model bundle is a folder with a SHA256SUMS file"):
        load_bundle(copy)


def test_sums_name_only_the_files_of_a_bundle(copy: Path) -> None:
    (copy / "extra.py").write_text("more")
    rewrite_sums(copy)
    with pytest.raises(BundleError, match=r"SHA256SUMS lists .*extra\.py"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname"])
def test_sums_name_nothing_outside_the_bundle(copy: Path, name: str) -> None:
    (copy.parent / "outside.txt").write_text("more")
    with (copy / SUMS_FILE).open("a") as file:
        file.write(f"{hashlib.sha256(b'more').hexdigest()}  {name}\n")
    with pytest.raises(BundleError, match="SHA256SUMS lists"):
        load_bundle(copy)


def test_a_link_is_refused_though_its_sum_is_right(copy: Path, tiny_bundle: Bundle) -> None:
    (copy / ONNX_FILE).unlink()
    (copy / ONNX_FILE).symlink_to(tiny_bundle.path / ONNX_FILE)
    with pytest.raises(BundleError, match=f"{ONNX_FILE} is missing or not a regular file"):
        load_bundle(copy)


@pytest.mark.parametrize("more", [False, True], ids=["the same files", "more files"])
def test_a_newer_format_is_refused(copy: Path, more: bool) -> None:
    if more:
        (copy / "tokenizer.json").write_text("{}")
    change_manifest(copy, lambda manifest: manifest.update(format_version=2, package_version="9.0"))
    with pytest.raises(BundleError, match=r"format version 2. Install the release .* \(9.0\)"):
        load_bundle(copy)


def test_golden_texts_must_get_their_scores(copy: Path) -> None:
    change_manifest(copy, lambda manifest: manifest["golden"][0].update(probability=0.123))
    with pytest.raises(BundleError, match=r"must reproduce its golden scores.* differ by up to \d"):
        load_bundle(copy)


def test_a_golden_score_that_is_no_number_is_refused(copy: Path) -> None:
    change_manifest(copy, lambda manifest: manifest["golden"][0].update(probability=float("nan")))
    with pytest.raises(BundleError, match=r"its golden scores.* differ by up to nan"):
        load_bundle(copy)


@pytest.mark.parametrize("position", [0, 64, 70], ids=["digest", "space", "name"])
def test_changed_sums_are_refused(copy: Path, position: int) -> None:
    content = bytearray((copy / SUMS_FILE).read_bytes())
    content[position] ^= 1
    (copy / SUMS_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="must be complete and unchanged"):
        load_bundle(copy)


def test_a_manifest_fits_only_its_model(copy: Path) -> None:
    change_manifest(copy, lambda manifest: manifest["recipe"]["encoding"].update(num_words=999))
    with pytest.raises(BundleError, match="the model does not match its manifest"):
        load_bundle(copy)


def test_nothing_is_overwritten(tiny_bundle: Bundle, copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.iterdir()}
    with pytest.raises(OutputExistsError, match="model bundles are never overwritten"):
        with_evaluation(tiny_bundle, "{}", "card", copy)
    assert {path: path.read_bytes() for path in copy.iterdir()} == before


def test_an_interrupt_leaves_no_half_bundle(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imdb_classifier.model.bundle_writer.shutil.copyfile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        with_evaluation(tiny_bundle, "{}", "card", tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWriteError, match="file/bundle failed: Not a directory"):
        with_evaluation(tiny_bundle, "{}", "card", tmp_path / "file" / "bundle")


def test_an_evaluation_comes_with_it(tiny_bundle: Bundle, tmp_path: Path) -> None:
    evaluated = with_evaluation(tiny_bundle, '{"rows": 3}', "# card", tmp_path / "bundle")
    assert evaluated.evaluation == {"rows": 3}
    assert evaluated.model_hash == tiny_bundle.model_hash
    assert (evaluated.path / "README.md").read_text() == "# card"
    (evaluated.path / "evaluation.json").write_text('{"rows": 4}')
    with pytest.raises(BundleError, match=r"evaluation\.json does not match its SHA-256"):
        load_bundle(evaluated.path)


def test_ngrams_are_a_part_of_the_model(tmp_path: Path) -> None:
    bundled = load_bundle(bundled_path())
    assert bundled.ngrams is not None
    # Some share a fingerprint, and some that negate an opinion are among the strongest, too.
    assert bundled.recipe.network.ngrams - 1_000 < len(bundled.ngrams)
    assert len(bundled.ngrams) <= bundled.recipe.network.ngrams
    copy = Path(shutil.copytree(bundled.path, tmp_path / "bundle"))
    fewer = np.load(copy / NGRAMS_FILE)[:-1]
    np.save(copy / NGRAMS_FILE, fewer)
    rewrite_sums(copy)
    with pytest.raises(BundleError, match="does not match its manifest"):
        load_bundle(copy)
    (copy / NGRAMS_FILE).unlink()
    rewrite_sums(copy)
    with pytest.raises(BundleError, match=r"SHA256SUMS lists .*model\.onnx, vocabulary\.txt"):
        load_bundle(copy)


def test_short_memory_is_no_damage(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr("imdb_classifier.model.bundle.Vocabulary", fail)
    with pytest.raises(pa.ArrowMemoryError):
        load_bundle(copy)


def test_what_a_model_learned_must_be_readable(copy: Path) -> None:
    (copy / LEARNED_FILE).write_bytes(b"not an array")
    rewrite_sums(copy)
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match=r"In .*bundle, learned\.npy is not that of a model"):
        _ = bundle.learned


def test_an_export_that_differs_is_refused(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = TrainedModel(
        import_keras().models.load_model(tiny_bundle.path / KERAS_FILE),
        tiny_bundle.vocabulary, tiny_bundle.recipe, 7, (),
    )  # fmt: skip
    honest = KerasEngine.probabilities
    monkeypatch.setattr(KerasEngine, "probabilities", lambda *a: honest(*a) + 2 * TOLERANCE)
    with pytest.raises(ExportError, match="must reproduce Keras' probabilities within 1e-05"):
        write_bundle(trained, {}, LEARNED, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    data = {"rows": 3, "source": "parquet"}
    again = write_bundle(trained, data, LEARNED, tmp_path / "bundle")
    assert again.manifest["data"] == data
    assert again.learned.tolist() == [3, 5]
    assert again.model_hash == tiny_bundle.model_hash


def test_loading_and_scoring_need_no_tensorflow(tiny_bundle: Bundle) -> None:
    program = (
        "import sys\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from pathlib import Path\n"
        "from imdb_classifier import Scorer, load_bundle\n"
        "import pyarrow as pa\n"
        "with Scorer(load_bundle(Path(sys.argv[1]))) as scorer:\n"
        "    print(scorer.probabilities(pa.array(['a film', None])).null_count)\n"
    )
    command = [sys.executable, "-c", program, str(tiny_bundle.path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1\n"


def test_golden_texts_reach_from_one_word_past_the_longest_review(tiny_bundle: Bundle) -> None:
    untruncated = encode(
        pa.array(GOLDEN_TEXTS), tiny_bundle.vocabulary, tiny_bundle.recipe.encoding
    )
    assert min(untruncated.lengths) == 2
    assert max(len(text.split()) for text in GOLDEN_TEXTS) > 500
