"""One model on disk: a folder, complete or absent, that is checked when it is loaded.

``model.keras`` (to train on from), ``model.onnx`` (to score with), ``vocabulary.txt`` (one word a
line, the most frequent first), ``ngrams.npy`` (fingerprints of n-grams, if it has any),
``manifest.json`` (how it came about, golden scores), ``evaluation.json`` (once it was evaluated),
``README.md`` (its model card) and ``SHA256SUMS``.
Loading checks the sums before anything else is looked at, runs no code from the bundle, needs no
TensorFlow, and scores the golden texts.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from imdb_classifier.config import Recipe
from imdb_classifier.errors import BundleError
from imdb_classifier.model.engines.choice import Engine, fastest_engine
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of
from imdb_classifier.storage.paths import StrPath, to_str
from imdb_classifier.text.encoding import Vocabulary, encode
from imdb_classifier.text.ngrams import Ngrams

FORMAT_VERSION: Final = 1
TOLERANCE: Final = 1e-5
"""Largest difference of a probability between Keras and ONNX Runtime, and between machines."""

KERAS_FILE: Final = "model.keras"
ONNX_FILE: Final = "model.onnx"
VOCABULARY_FILE: Final = "vocabulary.txt"
NGRAMS_FILE: Final = "ngrams.npy"
MANIFEST_FILE: Final = "manifest.json"
EVALUATION_FILE: Final = "evaluation.json"
CARD_FILE: Final = "README.md"
SUMS_FILE: Final = "SHA256SUMS"

_REQUIRED: Final = frozenset({KERAS_FILE, ONNX_FILE, VOCABULARY_FILE, MANIFEST_FILE})
_EVALUATED: Final = frozenset({EVALUATION_FILE, CARD_FILE})


@dataclass(frozen=True)
class Bundle:
    """A bundle that was loaded: checked, and ready to score.

    Attributes:
        location: Its folder, as it was named: on this machine or in an object store.
        path: Its folder on this machine; of one in an object store, a copy.
        manifest: What ``manifest.json`` says.
        recipe: How the model is encoded and built.
        vocabulary: The words that have ids of their own.
        ngrams: The n-grams that have a weight, in a network with n-grams.
        engine: Its network.
    """

    location: str
    path: Path
    manifest: Mapping[str, Any]
    recipe: Recipe
    vocabulary: Vocabulary
    ngrams: Ngrams | None
    engine: Engine

    @property
    def model_id(self) -> str:
        """Recipe and the first 12 digits of the model's hash, such as ``seed-3f2a9c1b7d04``."""
        return str(self.manifest["model_id"])

    @property
    def model_hash(self) -> str:
        """SHA-256 (hex) of all that decides a score: graph, vocabulary, n-grams and encoding."""
        return str(self.manifest["model_hash"])

    @cached_property
    def evaluation(self) -> Mapping[str, Any] | None:
        """What ``evaluation.json`` says, or None for a model that was never evaluated."""
        file = self.path / EVALUATION_FILE
        return json.loads(file.read_text("utf-8")) if file.exists() else None


def load_bundle(location: StrPath) -> Bundle:
    """Check a bundle and make it ready to score.

    It needs no TensorFlow and runs no code from the bundle.

    Args:
        location: Its folder, on this machine or in an object store.

    Returns:
        The model, for a `Scorer`.

    Raises:
        BundleError: A file is missing, damaged, or points elsewhere; the format is newer than this
            release; or the golden texts do not get their scores.
        OSError: Its place cannot be reached.

    Example:
        >>> from imdb_classifier import Registry, load_bundle
        >>> champion = Registry.at().load("@champion")
        >>> load_bundle(champion.path).model_hash == champion.model_hash
        True
    """
    location = to_str(location)
    path = storage_of(location).reading_folder(location)
    names = _check_sums(path)
    manifest = json.loads((path / MANIFEST_FILE).read_bytes())
    if manifest["format_version"] != FORMAT_VERSION:
        raise BundleError(
            f"This release reads model bundles of format version {FORMAT_VERSION}.",
            f"{path} has format version {manifest['format_version']}.",
            "Install the release of imdb-classifier that wrote it "
            f"({manifest.get('package_version', 'unknown')}).",
        )
    recipe = Recipe.from_dict(manifest["recipe"])
    if not model_files(recipe) <= names <= model_files(recipe) | _EVALUATED:
        raise _damaged(path, f"{SUMS_FILE} lists {', '.join(sorted(names))}")
    onnx_model, words, *listed = (
        (path / name).read_bytes()
        for name in (ONNX_FILE, VOCABULARY_FILE, NGRAMS_FILE)
        if name in names
    )
    if model_hash_of([onnx_model, words, *listed], recipe) != manifest["model_hash"]:
        raise _damaged(path, "the model is not the one that its manifest names")
    ngrams = Ngrams(np.load(io.BytesIO(listed[0]))) if listed else None
    bundle = Bundle(
        location=location,
        path=path,
        manifest=manifest,
        recipe=recipe,
        vocabulary=Vocabulary(words.decode("utf-8").split("\n")[:-1]),
        ngrams=ngrams,
        engine=fastest_engine(onnx_model, recipe, ngrams),
    )
    _check_scores(bundle)
    return bundle


def model_files(recipe: Recipe) -> frozenset[str]:
    """The files of every bundle of this recipe, evaluated or not."""
    return _REQUIRED | {NGRAMS_FILE} if recipe.network.ngrams else _REQUIRED


def model_hash_of(files: Sequence[bytes], recipe: Recipe) -> str:
    """SHA-256 (hex) of all that decides a score.

    Args:
        files: Graph, vocabulary and, where there are any, n-grams.
        recipe: Of which the encoding counts.
    """
    encoding = json.dumps(asdict(recipe.encoding), sort_keys=True).encode()
    parts = (hashlib.sha256(part).digest() for part in (*files, encoding))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _check_sums(path: Path) -> set[str]:
    """Every file is the one that was written, none is missing, none lies outside the folder.

    Returns:
        Their names, which in another format may be others than in this one.
    """
    sums_file = path / SUMS_FILE
    if not sums_file.is_file():
        raise BundleError(
            f"A model bundle is a folder with a {SUMS_FILE} file.",
            f"{path} has none.",
            "Name the folder of a model bundle, a version id or an @alias.",
        )
    lines = sums_file.read_text("utf-8", errors="replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    names = set(sums)
    if MANIFEST_FILE not in names or not all(name == Path(name).name for name in names):
        raise _damaged(path, f"{SUMS_FILE} lists {', '.join(sorted(names)) or 'nothing'}")
    for name in sorted(names):
        file = path / name
        if file.is_symlink() or not file.is_file():
            raise _damaged(path, f"{name} is missing or no ordinary file")
        if sha256_of(file) != sums[name]:
            raise _damaged(path, f"{name} does not have its SHA-256 sum")
    return names


def _check_scores(bundle: Bundle) -> None:
    texts = pa.array([golden["text"] for golden in bundle.manifest["golden"]], pa.string())
    expected = np.array([golden["probability"] for golden in bundle.manifest["golden"]])
    sequences = encode(texts, bundle.vocabulary, bundle.recipe.encoding)
    difference = np.abs(bundle.engine.probabilities(sequences) - expected).max(initial=0)
    if not difference <= TOLERANCE:
        # The sums are right by now, so what computes is as likely at fault as the model.
        raise BundleError(
            "A model bundle must give its golden texts their scores.",
            f"In {bundle.path}, its golden texts score up to {difference:.2e} away from their "
            f"scores, computed by: {bundle.engine.name}.",
            "Restore the bundle from a copy. If that does not help, this processor is computed for "
            "wrongly: uninstall llvmlite to score with ONNX Runtime, or install another release of "
            "onnxruntime, and report it.",
        )


def _damaged(path: Path, what: str) -> BundleError:
    return BundleError(
        "A model bundle must be as it was written.",
        f"In {path}, {what}.",
        "Restore the bundle from a copy, or train the model again.",
    )
