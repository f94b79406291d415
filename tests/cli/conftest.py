"""Registries and reviews to run commands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.pipeline.promote import register_bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from tests.command_line import write_reviews


@pytest.fixture(scope="session")
def evaluation(tiny_bundle: Bundle) -> Evaluation:
    return evaluate_bundle(tiny_bundle, str(FOLDER))[0]


@pytest.fixture
def registry(tiny_bundle: Bundle, evaluation: Evaluation, tmp_path: Path) -> Registry:
    """The registry of `run`, with the tiny model as its challenger."""
    registry = Registry.at(tmp_path / "registry")
    register_bundle(tiny_bundle, evaluation, registry)
    return registry


@pytest.fixture
def other_registry(tiny_bundle: Bundle, evaluation: Evaluation, tmp_path: Path) -> Registry:
    """A registry that `run` does not use by itself, with the tiny model as its champion."""
    registry = Registry.at(tmp_path / "other")
    register_bundle(tiny_bundle, evaluation, registry)
    registry.promote("@challenger")
    return registry


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A folder of one file with three rows, the last of them without text."""
    file = tmp_path / "in" / "a.parquet"
    write_reviews(file, ["A wonderful film.", "A dull film.", None])
    return file.parent
