"""One model on disk: a folder, written once, complete or absent.

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
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import BundleError, CannotWriteError, ExportError, OutputExistsError
from imdb_classifier.model.engines.choice import Engine, KerasEngine, OnnxEngine, fastest_engine
from imdb_classifier.model.network import NetworkWeights, build_network
from imdb_classifier.model.onnx_export import to_onnx
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of
from imdb_classifier.storage.paths import StrPath, to_str
from imdb_classifier.text.encoding import Vocabulary, encode
from imdb_classifier.text.ngrams import Ngrams
from imdb_classifier.version import __version__

if TYPE_CHECKING:
    from imdb_classifier.model.trained import TrainedModel

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

_GOLDEN_SENTENCES: Final = (
    "A warm, funny and beautifully acted film; I would watch it again tomorrow.",
    "Two hours of my life that nobody will give back. Dull, loud and badly cut!",
    "I didn't expect much, and it wasn't bad at all.<br /><br />The ending isn't great, though.",
    "ok",
    "Zwölf Minuten Élan, dann nichts 🎬 7/10",
)
GOLDEN_TEXTS: Final = (
    *_GOLDEN_SENTENCES,
    " ".join(_GOLDEN_SENTENCES),
    " ".join(_GOLDEN_SENTENCES[:3] * 6),
    " ".join(_GOLDEN_SENTENCES[:3] * 20),
)
"""Texts of 1 to some 900 words, whose probabilities a bundle keeps and gives again when loaded."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was loaded: checked, and ready to score.

    Attributes:
        location: Its folder, as it was named: on this machine or in an object store.
        path: Its folder on this machine; of one in an object store, a copy.
        manifest: What ``manifest.json`` says.
        recipe: How the model is encoded and built.
        vocabulary: The words that have ids of their own.
        ngrams: The n-grams that have a polarity, in a network with n-grams.
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


def write_bundle(trained: TrainedModel, data: Mapping[str, Any], target: StrPath) -> Bundle:
    """Export a trained model and write its bundle.

    Args:
        trained: What `training.train` gave.
        data: What is known of the reviews: plain JSON values, for the manifest.
        target: The bundle's folder; must not exist.

    Raises:
        ExportError: Keras and ONNX Runtime differ by more than `TOLERANCE` on a golden text.
        OutputExistsError: Something stands at `target`.
        CannotWriteError: The place of `target` does not let us.
        MissingExtraError: The package onnx is not installed.
    """
    recipe = trained.recipe
    onnx_model = to_onnx(NetworkWeights.of(trained.model), recipe).SerializeToString(
        deterministic=True
    )
    golden = encode(pa.array(GOLDEN_TEXTS), trained.vocabulary, recipe.encoding)
    probabilities = OnnxEngine(onnx_model, trained.ngrams).probabilities(golden)
    reference = KerasEngine(trained.model, recipe, trained.ngrams).probabilities(golden)
    difference = np.abs(probabilities - reference)
    if not difference.max() <= TOLERANCE:
        raise ExportError(
            f"The exported model must give Keras' probabilities within {TOLERANCE}.",
            f"On golden texts it differs by up to {difference.max():.2e}.",
            "Train again; if it happens again, report it with the recipe and the seed.",
        )

    words = "".join(f"{word}\n" for word in trained.vocabulary.words.to_pylist()).encode()
    listed = None if trained.ngrams is None else _npy(trained.ngrams.listed)
    model_hash = _model_hash([onnx_model, words, *([listed] if listed else [])], recipe)
    manifest = {
        "format_version": FORMAT_VERSION,
        "model_id": f"{recipe.name}-{model_hash[:12]}",
        "model_hash": model_hash,
        "recipe": recipe.to_dict(),
        "seed": trained.seed,
        "data": dict(data),
        "history": [asdict(epoch) for epoch in trained.history],
        "golden": [
            {"text": text, "probability": float(probability)}
            for text, probability in zip(GOLDEN_TEXTS, probabilities, strict=True)
        ],
        "packages": {name: version(name) for name in ("keras", "numpy", "onnx", "tensorflow")},
        "package_version": __version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with _writing(to_str(target)) as folder:
        # A fresh network: Adam's state is of no use to a reader and twice the weights' size.
        bare = build_network(recipe.encoding, recipe.network, trained.seed)
        bare.set_weights(trained.model.get_weights())
        bare.save(folder / KERAS_FILE)
        (folder / ONNX_FILE).write_bytes(onnx_model)
        (folder / VOCABULARY_FILE).write_bytes(words)
        if listed:
            (folder / NGRAMS_FILE).write_bytes(listed)
        (folder / MANIFEST_FILE).write_text(to_json(manifest), "utf-8")
    return load_bundle(target)


def with_evaluation(bundle: Bundle, evaluation: str, card: str, target: StrPath) -> Bundle:
    """A copy of a bundle that also holds what its evaluation found.

    Args:
        bundle: The model.
        evaluation: The text of ``evaluation.json``.
        card: The text of ``README.md``, the model card.
        target: The copy's folder; must not exist.

    Raises:
        OutputExistsError: Something stands at `target`.
        CannotWriteError: The place of `target` does not let us.
    """
    with _writing(to_str(target)) as folder:
        for name in _names(bundle.recipe):
            shutil.copyfile(bundle.path / name, folder / name)
        (folder / EVALUATION_FILE).write_text(evaluation, "utf-8")
        (folder / CARD_FILE).write_text(card, "utf-8")
    return load_bundle(target)


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
    if not _names(recipe) <= names <= _names(recipe) | _EVALUATED:
        raise _damaged(path, f"{SUMS_FILE} lists {', '.join(sorted(names))}")
    onnx_model, words, *listed = (
        (path / name).read_bytes()
        for name in (ONNX_FILE, VOCABULARY_FILE, NGRAMS_FILE)
        if name in names
    )
    if _model_hash([onnx_model, words, *listed], recipe) != manifest["model_hash"]:
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


def to_json(values: Mapping[str, Any]) -> str:
    """Values as the text of a JSON file that people and diffs can read."""
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _npy(array: NDArray[np.uint32]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _names(recipe: Recipe) -> frozenset[str]:
    """The files that make a model."""
    return _REQUIRED | {NGRAMS_FILE} if recipe.network.ngrams else _REQUIRED


def _model_hash(files: Sequence[bytes], recipe: Recipe) -> str:
    encoding = json.dumps(asdict(recipe.encoding), sort_keys=True).encode()
    parts = (hashlib.sha256(part).digest() for part in (*files, encoding))
    return hashlib.sha256(b"".join(parts)).hexdigest()


@contextmanager
def _writing(target: str) -> Iterator[Path]:
    """A folder for the files of a bundle, which gets its sums and is written once it has them."""
    storage = storage_of(target)
    try:
        if storage.kind(f"{target}/{SUMS_FILE}") is not None:
            raise OutputExistsError(
                target,
                "a model bundle is written only once",
                "Name another folder, or remove this one first.",
            )
        with storage.writing_folder(target, SUMS_FILE) as folder:
            yield folder
            names = sorted(path.name for path in folder.iterdir())
            sums = "".join(f"{sha256_of(folder / name)}  {name}\n" for name in names)
            (folder / SUMS_FILE).write_text(sums, "utf-8")
    except OSError as error:
        raise CannotWriteError(
            "The folder of a model bundle must be writable.",
            f"{target} is not: {error.strerror or error}.",
            "Name another folder.",
        ) from error


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
