"""Writing bundles: from a trained model, and with an evaluation added."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.config import TRAINING_REVISION
from imdb_classifier.errors import CannotWriteError, ExportError, OutputExistsError
from imdb_classifier.model.bundle import (
    CARD_FILE,
    EVALUATION_FILE,
    FORMAT_VERSION,
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
    model_files,
    model_hash_of,
)
from imdb_classifier.model.engines.keras_engine import KerasEngine
from imdb_classifier.model.engines.onnx_engine import OnnxEngine
from imdb_classifier.model.network import build_network
from imdb_classifier.model.onnx_export import to_onnx
from imdb_classifier.model.trained import TrainedModel
from imdb_classifier.model.weights import NetworkWeights
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of, to_json
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.text.encoding import encode
from imdb_classifier.version import __version__

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
"""Texts of 1 to about 900 words; a bundle stores their scores, and loading it reproduces them."""


def write_bundle(
    trained: TrainedModel,
    data: Mapping[str, Any],
    learned: NDArray[np.uint64],
    target: StrPath,
    adaptation: Mapping[str, Any] | None = None,
) -> Bundle:
    """Export a trained model and write its bundle.

    Args:
        trained: The model, from `loop.train`.
        data: Description of the reviews for the manifest, as plain JSON values.
        learned: Fingerprints of the reviews, see `fingerprints_of`.
        target: The bundle's folder; must not exist.
        adaptation: How the model was adapted, as plain JSON values; None if it was not.

    Raises:
        ExportError: Keras and ONNX Runtime differ by more than `TOLERANCE` on a golden text.
        OutputExistsError: `target` already exists.
        CannotWriteError: `target` cannot be written.
        MissingExtraError: The package onnx is not installed.
    """
    recipe = trained.recipe
    onnx_model = to_onnx(NetworkWeights.of(trained.model), recipe).SerializeToString(
        deterministic=True
    )
    golden = encode(pa.array(GOLDEN_TEXTS), trained.vocabulary, recipe.encoding)
    probabilities = OnnxEngine(onnx_model, recipe, trained.ngrams).probabilities(golden)
    reference = KerasEngine(trained.model, recipe, trained.ngrams).probabilities(golden)
    difference = np.abs(probabilities - reference)
    if not difference.max() <= TOLERANCE:
        raise ExportError(
            f"The exported model must reproduce Keras' probabilities within {TOLERANCE}.",
            f"On the golden texts, they differ by up to {difference.max():.2e}.",
            "Retrain the model; if it happens again, report it with the recipe and the seed.",
        )

    words = "".join(f"{word}\n" for word in trained.vocabulary.words.to_pylist()).encode()
    listed = None if trained.ngrams is None else _npy(trained.ngrams.listed)
    model_hash = model_hash_of([onnx_model, words, *([listed] if listed else [])], recipe)
    manifest = {
        "format_version": FORMAT_VERSION,
        "model_id": f"{recipe.name}-{model_hash[:12]}",
        "model_hash": model_hash,
        "recipe": recipe.to_dict(),
        "training_revision": TRAINING_REVISION,
        "seed": trained.seed,
        "data": dict(data),
        **({"adaptation": dict(adaptation)} if adaptation is not None else {}),
        "history": [asdict(epoch) for epoch in trained.history],
        "golden": [
            {"text": text, "probability": float(probability)}
            for text, probability in zip(GOLDEN_TEXTS, probabilities, strict=True)
        ],
        "packages": {name: version(name) for name in ("keras", "numpy", "onnx", "tensorflow")},
        "package_version": __version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with _writing(location_of(target)) as folder:
        # A fresh network, without Adam's state, which is useless here and twice the weights' size.
        bare = build_network(recipe.encoding, recipe.network, trained.seed)
        bare.set_weights(trained.model.get_weights())
        bare.save(folder / KERAS_FILE)
        (folder / ONNX_FILE).write_bytes(onnx_model)
        (folder / VOCABULARY_FILE).write_bytes(words)
        if listed:
            (folder / NGRAMS_FILE).write_bytes(listed)
        (folder / LEARNED_FILE).write_bytes(_npy(learned))
        (folder / MANIFEST_FILE).write_text(to_json(manifest), "utf-8")
    return load_bundle(target)


def with_evaluation(bundle: Bundle, evaluation: str, card: str, target: StrPath) -> Bundle:
    """Write a copy of a bundle with an evaluation added, and load it.

    Args:
        bundle: The model.
        evaluation: The text of ``evaluation.json``.
        card: The text of ``README.md``, the model card.
        target: The copy's folder; must not exist.

    Raises:
        OutputExistsError: `target` already exists.
        CannotWriteError: `target` cannot be written.
    """
    with _writing(location_of(target)) as folder:
        for name in model_files(bundle.recipe):
            shutil.copyfile(bundle.path / name, folder / name)
        (folder / EVALUATION_FILE).write_text(evaluation, "utf-8")
        (folder / CARD_FILE).write_text(card, "utf-8")
    return load_bundle(target)


def _npy(array: NDArray[np.unsignedinteger[Any]]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@contextmanager
def _writing(target: str) -> Iterator[Path]:
    """Yield a folder for the files of a bundle, then add the checksums and write it to `target`."""
    storage = storage_of(target)
    try:
        if storage.kind(f"{target}/{SUMS_FILE}") is not None:
            raise OutputExistsError(
                target,
                "model bundles are never overwritten",
                "Choose another folder, or remove this one first.",
            )
        with storage.writing_folder(target, SUMS_FILE) as folder:
            yield folder
            names = sorted(path.name for path in folder.iterdir())
            sums = "".join(f"{sha256_of(folder / name)}  {name}\n" for name in names)
            (folder / SUMS_FILE).write_text(sums, "utf-8")
    except OSError as error:
        raise CannotWriteError(
            "The folder of a model bundle must be writable.",
            f"Writing {target} failed: {error.strerror or error}.",
            "Check your permissions, or choose another folder.",
        ) from error
