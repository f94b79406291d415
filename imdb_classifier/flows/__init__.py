"""The Prefect flows `score_parquet`, `train_imdb`, `adapt_model`, `evaluate_imdb`, `promote_model`.

In the wheel, their files are in this folder. In a checkout, they are in ``flows/`` next to the
package.
"""

from pathlib import Path

import imdb_classifier.tasks  # noqa: F401 - first, because its error names the missing package

if not Path(__file__).with_name("score.py").exists():
    __path__.append(str(Path(__file__).resolve().parents[2] / "flows"))

from imdb_classifier.flows.adaptation import adapt_model
from imdb_classifier.flows.evaluate import evaluate_imdb
from imdb_classifier.flows.promote import promote_model
from imdb_classifier.flows.score import score_parquet
from imdb_classifier.flows.train import train_imdb

__all__ = ["adapt_model", "evaluate_imdb", "promote_model", "score_parquet", "train_imdb"]
