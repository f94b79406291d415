"""Evaluates the bundled model again, and replaces its evaluation and its model card in place.

``python -m benchmarks.bundled_evaluation`` needs the IMDB data set and takes two minutes. The model
itself, and with it every score, stays as it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from imdb_classifier.evaluation.report import render_json, render_model_card
from imdb_classifier.model.bundle import CARD_FILE, EVALUATION_FILE, SUMS_FILE, load_bundle
from imdb_classifier.model.bundle_writer import with_evaluation
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.storage.paths import StrPath


def renew(folder: Path, data: StrPath | None = None) -> None:
    """Evaluate the model in a folder, and replace its evaluation and its model card.

    Args:
        folder: The model's bundle.
        data: Where the test reviews are, see `load.load_reviews`.
    """
    bundle = load_bundle(folder)
    evaluation, _ = evaluate_bundle(bundle, data)
    card = render_model_card(bundle.manifest, evaluation)
    with TemporaryDirectory() as work:
        renewed = with_evaluation(bundle, render_json(evaluation), card, Path(work) / "bundle")
        for name in (EVALUATION_FILE, CARD_FILE, SUMS_FILE):
            shutil.copyfile(renewed.path / name, folder / name)


if __name__ == "__main__":
    renew(bundled_path())
