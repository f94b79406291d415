from __future__ import annotations

import subprocess
import sys

import pytest

from tests.extras import needs

HEAVY = {
    "jinja2", "keras", "matplotlib", "onnx", "pooch", "prefect", "requests", "scipy", "sklearn",
    "tensorflow",
}  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_the_package_itself_loads_next_to_nothing() -> None:
    loaded = loaded_by("import imdb_classifier; dir(imdb_classifier); imdb_classifier.__version__")
    assert not loaded & (HEAVY | {"pandas", "numpy", "pyarrow", "onnxruntime"})


@pytest.mark.parametrize(
    "statement",
    [
        "from imdb_classifier import Scorer, Registry, load_bundle, load_reviews, score_parquet",
        "import imdb_classifier.cli",
    ],
)
def test_scoring_loads_no_training_package(statement: str) -> None:
    assert not loaded_by(statement) & (HEAVY | {"pandas"})


def test_the_pandas_helper_loads_pandas_and_no_more() -> None:
    loaded = loaded_by("from imdb_classifier import score_dataframe")
    assert "pandas" in loaded
    assert not loaded & HEAVY


@needs("prefect", "flows")
def test_only_the_tasks_load_prefect() -> None:
    assert "prefect" in loaded_by("import imdb_classifier.tasks")
    assert "tensorflow" not in loaded_by("import imdb_classifier.tasks")
