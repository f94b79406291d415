"""Model bundles: one folder per model, complete or absent, and checked when it is loaded.

A bundle contains ``model.keras`` (for further training), ``model.onnx`` (for scoring),
``vocabulary.txt`` (one word per line, the most frequent first), ``ngrams.npy`` (fingerprints of the
n-grams, if any), ``learned.npy`` (fingerprints of the reviews that the model was trained on),
``manifest.json`` (how it was trained, golden scores), ``evaluation.json`` and ``README.md`` (the
model card; both after an evaluation), and ``SHA256SUMS``.
Loading verifies sizes and checksums before anything else, reads no file outside the folder, runs no
code from the bundle, does not need TensorFlow, and compares the scores of the golden texts.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import BundleError, described
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.model.engines.choice import Engine, chosen_engine
from imdb_classifier.model.onnx_reader import weights_of
from imdb_classifier.model.trained import Epoch
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.text.batch_profile import SCORE_BINS, BatchProfile
from imdb_classifier.text.encoding import Vocabulary, encode
from imdb_classifier.text.ngrams import Ngrams

FORMAT_VERSION: Final = 1
TOLERANCE: Final = 1e-5
"""Maximum difference in probability between Keras and ONNX Runtime, and between machines."""

KERAS_FILE: Final = "model.keras"
ONNX_FILE: Final = "model.onnx"
VOCABULARY_FILE: Final = "vocabulary.txt"
NGRAMS_FILE: Final = "ngrams.npy"
LEARNED_FILE: Final = "learned.npy"
MANIFEST_FILE: Final = "manifest.json"
EVALUATION_FILE: Final = "evaluation.json"
CARD_FILE: Final = "README.md"
SUMS_FILE: Final = "SHA256SUMS"

_REQUIRED: Final = frozenset({KERAS_FILE, ONNX_FILE, VOCABULARY_FILE, LEARNED_FILE, MANIFEST_FILE})
_KEYS: Final[Mapping[str, type]] = {
    "created_at": str,
    "data": dict,
    "golden": list,
    "history": list,
    "model_hash": str,
    "model_id": str,
    "recipe": dict,
    "seed": int,
}
_EVALUATED: Final = frozenset({EVALUATION_FILE, CARD_FILE})

_NETWORK_BYTES: Final = 1 << 28
_OTHER_BYTES: Final = 1 << 24
"""Sizes of the largest files that are read: those of the network and of what it learned, and all
others."""
_GOLDEN_CHARACTERS: Final = 1 << 16
"""Length of all golden texts together, at most."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: checked, and ready to score.

    Attributes:
        location: Its folder, as given: on this machine or in an object store.
        path: Its folder on this machine; a copy if the bundle is in an object store.
        manifest: Contents of ``manifest.json``.
        recipe: The recipe of the model.
        vocabulary: The words that have their own id.
        ngrams: The n-grams with a weight in the network, if any.
        engine: The engine that runs the network.
        evaluation: Contents of ``evaluation.json``, or None if the model was never evaluated.
        engine_choice: The choice that led to it; ``auto`` may lead to another one elsewhere.
    """

    location: str
    path: Path
    manifest: Mapping[str, Any]
    recipe: Recipe
    vocabulary: Vocabulary
    ngrams: Ngrams | None
    engine: Engine
    evaluation: Mapping[str, Any] | None
    engine_choice: EngineChoice = "auto"

    @property
    def model_id(self) -> str:
        """Recipe name and first 12 digits of the model hash, such as ``seed-3f2a9c1b7d04``."""
        return str(self.manifest["model_id"])

    @property
    def model_hash(self) -> str:
        """SHA-256 (hex) of all that determines a score: graph, vocabulary, n-grams and encoding."""
        return str(self.manifest["model_hash"])

    @cached_property
    def learned(self) -> NDArray[np.uint64]:
        """Fingerprints of the reviews that the model was trained on: uint64, (reviews at most,).

        Raises:
            BundleError: They cannot be read.
        """
        with _understood(self.path, LEARNED_FILE):
            fingerprints: NDArray[np.uint64] = np.load(
                io.BytesIO((self.path / LEARNED_FILE).read_bytes())
            )
            _require(fingerprints.dtype == np.uint64 and fingerprints.ndim == 1)
        return fingerprints

    @cached_property
    def ngram_log_odds(self) -> NDArray[np.float64]:
        """What each n-gram, by its id, adds to the log-odds of a text of one token.

        Returns:
            float64, (n-grams + 1,); (0,) without n-grams.
        """
        weights = weights_of((self.path / ONNX_FILE).read_bytes(), self.recipe)
        scale = float(weights.output_kernel[-1, 0])
        return scale * weights.ngram_weights.astype(np.float64)

    def without_ngrams(self) -> Bundle:
        """Return the bundle with an engine that finds no n-gram in any text: its LSTM alone."""
        none = Ngrams(np.empty(0, np.uint32))
        model = (self.path / ONNX_FILE).read_bytes()
        engine = chosen_engine(self.engine_choice, model, self.path / KERAS_FILE, self.recipe, none)
        return replace(self, engine=engine, ngrams=none)


def load_bundle(location: StrPath, engine: EngineChoice = "auto") -> Bundle:
    """Load a bundle and check it.

    Runs no code from the bundle, and needs TensorFlow only for the engine ``keras``.

    Args:
        location: Its folder, on this machine or in an object store.
        engine: What runs the network: ``compiled`` (extra ``fast``), ``onnx`` (ONNX Runtime),
            ``keras`` (extra ``train``), or ``auto``: ``compiled`` if it is installed and works,
            else ``onnx``.

    Returns:
        The model, for a `Scorer`.

    Raises:
        BundleError: A file is missing, damaged, too large or a link; this release does not read the
            bundle's format; or the golden texts do not get their golden scores.
        ConfigurationError: There is no such engine, or its package is not installed or broken.
        OSError: The location cannot be reached.

    Example:
        >>> from imdb_classifier import Registry, load_bundle
        >>> champion = Registry.at().load("@champion")
        >>> load_bundle(champion.path).model_hash == champion.model_hash
        True
    """
    location = location_of(location)
    path = storage_of(location).reading_folder(location)
    names = _check_sums(path)
    manifest = _read_manifest(path)
    if manifest["format_version"] != FORMAT_VERSION:
        raise BundleError(
            f"This release reads model bundles of format version {FORMAT_VERSION}.",
            f"{path} has format version {manifest['format_version']}.",
            "Install the release of imdb-classifier that wrote it "
            f"({manifest.get('package_version', 'unknown')}).",
        )
    if missing := _KEYS.keys() - manifest.keys():
        raise _damaged(path, f"{MANIFEST_FILE} lacks {', '.join(sorted(missing))}")
    with _understood(path, MANIFEST_FILE):
        recipe = Recipe.from_dict(manifest["recipe"])
        _check_manifest(manifest, recipe)
    if not model_files(recipe) <= names <= model_files(recipe) | _EVALUATED:
        raise _damaged(path, f"{SUMS_FILE} lists {', '.join(sorted(names))}")
    onnx_model, words, *listed = (
        (path / name).read_bytes()
        for name in (ONNX_FILE, VOCABULARY_FILE, NGRAMS_FILE)
        if name in names
    )
    if model_hash_of([onnx_model, words, *listed], recipe) != manifest["model_hash"]:
        raise _damaged(path, "the model does not match its manifest")
    with _understood(path, NGRAMS_FILE):
        ngrams = _ngrams(listed[0], recipe) if listed else None
    with _understood(path, VOCABULARY_FILE):
        vocabulary = Vocabulary(words.decode("utf-8").split("\n")[:-1])
    with _understood(path, EVALUATION_FILE):
        evaluation = _evaluation(path) if EVALUATION_FILE in names else None
    bundle = Bundle(
        location=location,
        path=path,
        manifest=manifest,
        recipe=recipe,
        vocabulary=vocabulary,
        ngrams=ngrams,
        engine=chosen_engine(engine, onnx_model, path / KERAS_FILE, recipe, ngrams),
        evaluation=evaluation,
        engine_choice=engine,
    )
    _check_scores(bundle)
    return bundle


def manifest_of(location: str) -> dict[str, Any]:
    """Return the manifest of a bundle, unchecked.

    Raises:
        OSError: The location cannot be reached, or there is no manifest.
        ValueError: The manifest is damaged.
    """
    text = storage_of(location).read_text(f"{location}/{MANIFEST_FILE}")
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def model_files(recipe: Recipe) -> frozenset[str]:
    """Return the names of the files that every bundle of this recipe has, evaluated or not."""
    return _REQUIRED | {NGRAMS_FILE} if recipe.network.ngrams else _REQUIRED


def model_hash_of(files: Sequence[bytes], recipe: Recipe) -> str:
    """Return the SHA-256 (hex) of all that determines a score.

    Args:
        files: Graph, vocabulary and, if any, n-grams, in this order.
        recipe: The recipe of the model; only its encoding is hashed.
    """
    encoding = json.dumps(recipe.encoding.to_dict(), sort_keys=True).encode()
    parts = (hashlib.sha256(part).digest() for part in (*files, encoding))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _check_sums(path: Path) -> set[str]:
    """Check that all files are in the folder and match their checksums.

    Returns:
        The names of the files, which depend on the format version.
    """
    sums_file = path / SUMS_FILE
    if not sums_file.is_file():
        raise BundleError(
            f"A model bundle is a folder with a {SUMS_FILE} file.",
            f"{path} has none.",
            "Name the folder of a model bundle, a version id or an @alias.",
        )
    _check_file(path, SUMS_FILE)
    lines = sums_file.read_text("utf-8", errors="replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    names = set(sums)
    if MANIFEST_FILE not in names or not all(name == Path(name).name for name in names):
        raise _damaged(path, f"{SUMS_FILE} lists {', '.join(sorted(names)) or 'nothing'}")
    for name in sorted(names):
        _check_file(path, name)
        if sha256_of(path / name) != sums[name]:
            raise _damaged(path, f"{name} does not match its SHA-256 checksum")
    return names


def _check_file(path: Path, name: str) -> None:
    file = path / name
    if file.is_symlink() or not file.is_file():
        raise _damaged(path, f"{name} is missing or not a regular file")
    is_large = name in (KERAS_FILE, ONNX_FILE, NGRAMS_FILE, LEARNED_FILE)
    largest = _NETWORK_BYTES if is_large else _OTHER_BYTES
    if file.stat().st_size > largest:
        raise _damaged(path, f"{name} is larger than {largest >> 20} MiB")


@contextmanager
def _understood(path: Path, name: str) -> Iterator[None]:
    """Name the file if its contents cannot be those of a model."""
    try:
        yield
    except BundleError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise _damaged(path, f"{name} is not that of a model ({described(error)})") from error


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST_FILE).read_bytes())
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict) or "format_version" not in manifest:
        raise _damaged(path, f"{MANIFEST_FILE} is not that of a model")
    return manifest


def _check_manifest(manifest: Mapping[str, Any], recipe: Recipe) -> None:
    """Raise an error of any kind if a manifest has other values than `write_bundle` writes."""
    for key, kind in _KEYS.items():
        _require(type(manifest[key]) is kind)
    _require(manifest["model_id"] == f"{recipe.name}-{manifest['model_hash'][:12]}")
    datetime.fromisoformat(manifest["created_at"])
    _require(type(manifest["data"]["rows"]) is int and type(manifest["data"]["source"]) is str)
    for epoch in manifest["history"]:
        figures = asdict(Epoch(**epoch)).values()
        _require(all(figure is None or _is_number(figure) for figure in figures))
    texts = [golden["text"].encode() for golden in manifest["golden"]]
    _require(0 < sum(map(len, texts)) <= _GOLDEN_CHARACTERS)
    _require(all(type(golden["probability"]) is float for golden in manifest["golden"]))


def _ngrams(npy: bytes, recipe: Recipe) -> Ngrams:
    listed = np.load(io.BytesIO(npy))
    _require(listed.dtype == np.uint32 and listed.ndim == 1)
    _require(len(listed) <= recipe.network.ngrams and bool((listed[1:] > listed[:-1]).all()))
    return Ngrams(listed, recipe.encoding.ngram_parts)


def _evaluation(path: Path) -> Mapping[str, Any]:
    evaluation: dict[str, Any] = json.loads((path / EVALUATION_FILE).read_bytes())
    _require(type(evaluation.get("rows", 0)) is int)
    for figure in evaluation.get("figures", {}).values():
        _require(all(_is_number(figure[name]) for name in ("value", "low", "high")))
    BatchProfile.from_dict(evaluation.get("profile") or {})
    if histogram := evaluation.get("histogram"):
        _require(histogram.keys() == {"negatives", "positives"})
        for counts in histogram.values():
            _require(type(counts) is list and len(counts) == SCORE_BINS)
            _require(all(type(count) is int and 0 <= count < 1 << 53 for count in counts))
    return evaluation


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _check_scores(bundle: Bundle) -> None:
    texts = pa.array([golden["text"] for golden in bundle.manifest["golden"]], pa.string())
    expected = np.array([golden["probability"] for golden in bundle.manifest["golden"]])
    sequences = encode(texts, bundle.vocabulary, bundle.recipe.encoding)
    difference = np.abs(bundle.engine.probabilities(sequences) - expected).max(initial=0)
    if not difference <= TOLERANCE:
        # The checksums match, so the engine is as likely to be at fault as the model.
        raise BundleError(
            "A model bundle must reproduce its golden scores.",
            f"The scores of {bundle.path} differ by up to {difference:.2e}, computed by "
            f"the engine {bundle.engine.name}.",
            "Restore the bundle from a copy. If that does not help, the engine gives wrong results "
            "on this CPU: choose another `engine`, and report it.",
        )


def _damaged(path: Path, what: str) -> BundleError:
    return BundleError(
        "The files of a model bundle must be complete and unchanged.",
        f"In {path}, {what}.",
        "Restore the bundle from a copy, or retrain the model.",
    )
