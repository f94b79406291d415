"""The result of training: the model, and the metrics of each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imdb_classifier.config import Recipe
from imdb_classifier.text.encoding import Vocabulary
from imdb_classifier.text.ngrams import Ngrams

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Epoch:
    """The metrics of one pass over the training part; with teachers, those of the student.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean binary cross-entropy (nats) of the training part, during the epoch.
        accuracy: Share of the training part labeled correctly, during the epoch.
        val_loss: Loss of the validation part, after the epoch; None without a validation part.
        val_accuracy: Accuracy on the validation part, after the epoch; None without one.
        seconds: Wall-clock time, including validation.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float

    @property
    def logs(self) -> dict[str, float]:
        """The metrics as Keras passes them to callbacks."""
        metrics = {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "val_loss": self.val_loss,
            "val_accuracy": self.val_accuracy,
        }
        return {name: value for name, value in metrics.items() if value is not None}


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """Return an epoch's metrics as one line for people."""
    line = f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.4f}"
    if epoch.val_loss is not None and epoch.val_accuracy is not None:
        line += f"  val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}"
    return f"{line}  {epoch.seconds:.0f} s"


@dataclass(frozen=True)
class TrainedModel:
    """A trained model: everything in its bundle except the source of its reviews."""

    model: keras.Model
    vocabulary: Vocabulary
    recipe: Recipe
    seed: int
    history: tuple[Epoch, ...]
    ngrams: Ngrams | None = None
