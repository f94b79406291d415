from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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
    return set(ran.stdout.splitlines()[-1].split())


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


SCORE = """
import sys
sys.modules["llvmlite"] = None  # the light core
from imdb_classifier.cli import main
sys.argv = ["imdb-classifier", "score", "in.parquet", "out.parquet", "--json"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0
"""


def test_scoring_from_parquet_to_parquet_loads_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"text": ["A fine film."]}), "in.parquet")
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "none"))
    loaded = loaded_by(SCORE)
    assert "onnxruntime" in loaded
    assert not loaded & (HEAVY | {"pandas", "rich.progress"})


def test_arrow_finds_pandas_where_it_must_make_a_frame() -> None:
    loaded = loaded_by(
        "import pyarrow as pa\n"
        "from imdb_classifier.cli.imports import use_arrow_without_pandas\n"
        "use_arrow_without_pandas()\n"
        "assert pa.array([1, None]).to_pandas().notna().tolist() == [True, False]\n"
        "import pandas as pd\n"
        "assert pa.array(pd.Series(['a', None])).null_count == 1"
    )
    assert "pandas" in loaded


@pytest.mark.parametrize(
    ("arguments", "needless"),
    [
        (["--version"], ["click"]),
        (["--help"], []),
        (["score", "--help"], []),
    ],
    ids=" ".join,
)
def test_help_and_version_load_next_to_nothing(arguments: list[str], needless: list[str]) -> None:
    loaded = loaded_by(
        f"import sys; sys.argv = ['imdb-classifier', *{arguments!r}]\n"
        "from imdb_classifier.cli import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    assert "imdb_classifier.cli.program" in loaded
    assert not loaded & (HEAVY | {"numpy", "pandas", "pyarrow", "rich", *needless})


@needs("prefect", "flows")
def test_only_the_tasks_load_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # Prefect needs one.
    loaded = loaded_by("import imdb_classifier.tasks")
    assert "prefect" in loaded
    assert not loaded & {
        "keras", "llvmlite", "matplotlib", "onnxruntime", "sklearn", "tensorflow",
    }  # fmt: skip
