"""Checkpoints: the weights, Adam's state and the metrics so far, after each epoch."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.trained import Epoch
from imdb_classifier.storage import storage_of

if TYPE_CHECKING:
    import keras

_MODEL_FILE: Final = "model.keras"
_HISTORY_FILE: Final = "history.json"

logger = logging.getLogger(__name__)


def save_checkpoint(folder: Path, model: keras.Model, history: Sequence[Epoch]) -> None:
    """Save the model after its last epoch; the checkpoint is on disk completely, or absent.

    Args:
        folder: Folder of this run's checkpoints, created if missing.
        model: The compiled model.
        history: The metrics of all epochs so far, at least one.
    """
    target = folder / f"epoch-{history[-1].epoch}"
    # One that `load_checkpoint` has skipped.
    shutil.rmtree(target, ignore_errors=True)
    with storage_of(str(target)).writing_folder(str(target), _HISTORY_FILE) as unfinished:
        model.save(unfinished / _MODEL_FILE)
        (unfinished / _HISTORY_FILE).write_text(json.dumps([asdict(epoch) for epoch in history]))


def load_checkpoint(folder: Path, accuracy: object) -> tuple[list[Epoch], keras.Model | None]:
    """Return the metrics and the model of the last readable checkpoint, or an empty list and None.

    Args:
        folder: Folder of the run's checkpoints; need not exist.
        accuracy: The custom metric ``accuracy`` that the model was compiled with.
    """
    load_model = import_keras().models.load_model
    numbers = [int(path.name.removeprefix("epoch-")) for path in folder.glob("epoch-*")]
    for number in sorted(numbers, reverse=True):
        checkpoint = folder / f"epoch-{number}"
        try:
            listed = json.loads((checkpoint / _HISTORY_FILE).read_text())
            history = [Epoch(**epoch) for epoch in listed]
            model = load_model(checkpoint / _MODEL_FILE, custom_objects={"accuracy": accuracy})
        except Exception as error:
            # Keras does not document what it raises for a damaged file.
            logger.warning(
                "the checkpoint of epoch %d is skipped: it is damaged (%s)",
                *(number, type(error).__name__),
            )
        else:
            logger.info("resuming after epoch %d", number)
            return history, model
    return [], None
