"""Bundles that this process keeps, so that each is loaded once however often it is asked for."""

from __future__ import annotations

import os
from functools import lru_cache
from threading import RLock
from typing import Final

from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import Bundle, load_bundle, manifest_of
from imdb_classifier.model.engines import EngineChoice

_LOADING: Final = RLock()
"""Held while a model is loaded, so that threads that need it at the same time load it once."""

if hasattr(os, "register_at_fork"):
    # A process that is forked meanwhile would wait for a thread that it does not have.
    os.register_at_fork(
        before=_LOADING.acquire, after_in_child=_LOADING.release, after_in_parent=_LOADING.release
    )


def bundle_at(location: str) -> Bundle:
    """Load the bundle at a location, unless this process holds the model that is there now.

    Args:
        location: Its folder, on this machine or in an object store.

    Raises:
        BundleError: It is damaged.
        OSError: The location cannot be reached.
    """
    try:
        model_hash = str(manifest_of(location)["model_hash"])
    except (OSError, LookupError, ValueError):
        return load_bundle(location)  # which says what is wrong
    return kept_bundle(location, model_hash)


def release_model() -> None:
    """Let go of the model that this process keeps in memory.

    `score_dataframe` keeps the model that it used last, so that the next call does not load it.

    Example:
        >>> from imdb_classifier import release_model, score_dataframe
        >>> scored = score_dataframe(["A warm and funny film."])
        >>> release_model()
    """
    _kept_bundle.cache_clear()


def kept_bundle(location: str, model_hash: str, engine: EngineChoice = "auto") -> Bundle:
    """Load the bundle of a model, unless this process holds it already.

    Args:
        location: Its folder, on this machine or in an object store.
        model_hash: The model that it must still contain.
        engine: What runs the network, see `load_bundle`.

    Raises:
        BundleError: It is damaged, or contains another model.
        OSError: The location cannot be reached.
    """
    with _LOADING:
        return _kept_bundle(location, model_hash, engine)


@lru_cache(maxsize=1)
def _kept_bundle(location: str, model_hash: str, engine: EngineChoice) -> Bundle:
    bundle = load_bundle(location, engine)
    if bundle.model_hash != model_hash:
        raise BundleError(
            "All processes must use the same model.",
            f"{location} changed from {model_hash[:12]} to {bundle.model_hash[:12]}.",
            "Rerun to score with the new model.",
        )
    return bundle
