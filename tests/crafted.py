"""Models that are made for a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from imdb_classifier.model.bundle import (
    LEARNED_FILE,
    MANIFEST_FILE,
    NGRAMS_FILE,
    ONNX_FILE,
    SUMS_FILE,
    VOCABULARY_FILE,
    Bundle,
    load_bundle,
    model_hash_of,
)
from imdb_classifier.pipeline.train import plan_training
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.overlap import fingerprints_of
from imdb_classifier.storage.files import sha256_of, to_json


def with_words(bundle: Bundle, words: Sequence[str], folder: Path) -> Bundle:
    """Write a copy of a model with another vocabulary to a folder, and load it."""
    shutil.copytree(bundle.path, folder)
    (folder / VOCABULARY_FILE).write_text("".join(f"{word}\n" for word in words), "utf-8")
    scoring = [folder / name for name in (ONNX_FILE, VOCABULARY_FILE, NGRAMS_FILE)]
    manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    files = [file.read_bytes() for file in scoring if file.exists()]
    manifest["model_hash"] = model_hash_of(files, bundle.recipe)
    manifest["model_id"] = f"{bundle.recipe.name}-{manifest['model_hash'][:12]}"
    (folder / MANIFEST_FILE).write_text(to_json(manifest), "utf-8")
    _sum_up(folder)
    return load_bundle(folder)


def trained_on(bundle: Bundle, reviews: pa.Table) -> Bundle:
    """Make a model one that was trained on these reviews, and load it."""
    np.save(bundle.path / LEARNED_FILE, fingerprints_of([reviews]))
    _sum_up(bundle.path)
    return load_bundle(bundle.path)


def leave_trained(bundle: Bundle, data: str, registry: Registry) -> None:
    """Leave a model as a run does that is killed once it has trained it, so that another goes on.

    Args:
        bundle: The model.
        data: What it was trained on.
        registry: The registry that the runs are of.
    """
    run = plan_training(data, bundle.recipe.name, bundle.manifest["seed"], registry).run
    shutil.copytree(bundle.path, registry.work / run / "bundle")


def _sum_up(folder: Path) -> None:
    names = sorted({path.name for path in folder.iterdir()} - {SUMS_FILE})
    sums = "".join(f"{sha256_of(folder / name)}  {name}\n" for name in names)
    (folder / SUMS_FILE).write_text(sums, "utf-8")
