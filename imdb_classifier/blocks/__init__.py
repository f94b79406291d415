"""Prefect blocks: settings that are filled in once in the Prefect UI and loaded by name.

Prefect imports this module in servers, workers and programs, as an entry point in the group
``prefect.collections``. So importing it loads Prefect, and otherwise next to nothing.
"""

from imdb_classifier.errors import MissingExtraError

try:
    import prefect as _prefect  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("A Prefect block", error.name or "prefect", "flows") from error

from imdb_classifier.blocks.sentiment_model import Sentiment, SentimentModel

__all__ = ["Sentiment", "SentimentModel"]
