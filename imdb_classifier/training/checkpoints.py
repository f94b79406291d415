"""Checkpoints: the weights, Adam's state and the metrics so far, after each epoch."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.trained import Epoch

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


def save_checkpoint(folder: Path, model: keras.Model, history: Sequence[Epoch]) -> None:
    """Save the model after its last epoch; the checkpoint is complete or absent.

    Args:
        folder: Folder of this run's checkpoints, created if missing.
        model: The compiled model.
        history: The metrics of all epochs so far, at least one.
    """
    number = history[-1].epoch
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".epoch-{number}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    model.save(unfinished / "model.keras")
    (unfinished / "history.json").write_text(json.dumps([asdict(epoch) for epoch in history]))
    os.replace(unfinished, folder / f"epoch-{number}")


def load_checkpoint(folder: Path, accuracy: object) -> tuple[list[Epoch], keras.Model | None]:
    """Return the metrics and the model of the last checkpoint; an empty list and None without one.

    Args:
        folder: Folder of the run's checkpoints; need not exist.
        accuracy: The custom metric ``accuracy`` that the model was compiled with.
    """
    numbers = [int(path.name.removeprefix("epoch-")) for path in folder.glob("epoch-*")]
    if not numbers:
        return [], None
    latest = folder / f"epoch-{max(numbers)}"
    history = [Epoch(**epoch) for epoch in json.loads((latest / "history.json").read_text())]
    logger.info("resuming after epoch %d", len(history))
    return history, import_keras().models.load_model(
        latest / "model.keras", custom_objects={"accuracy": accuracy}
    )
