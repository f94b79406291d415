"""The recipes of the guide give the scores of the command line in every engine, to the last bit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command_line import Run
from tests.other_systems import CHECKOUT, OtherSystems

GUIDE: Final = CHECKOUT / "docs" / "guides" / "engines.md"
MOST_LINES: Final = 5
OURS: Final = ["sentiment_label", "sentiment_probability"]
TEXTS: Final = [
    "A warm and funny film.",
    None,
    "Dull, loud and badly cut.",
    "",
    "Not a bad film at all, and the ending surprised me.",
]
ROWS: Final = 3_000
"""More than one batch in some of the engines."""


def recipes() -> dict[str, str]:
    """The block of code of each section; that of the lines before them has an empty name."""
    start, *sections = re.split(r"^## ", GUIDE.read_text("utf-8"), flags=re.MULTILINE)
    named = {"": start, **{section.partition("\n")[0]: section for section in sections}}
    return {
        name: "\n\n".join(re.findall(r"```(?:python|sh)\n(.*?)```", section, re.DOTALL))
        for name, section in named.items()
    }


def of_pandas(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


TO_ARROW: Final[dict[str, Callable[[Any], pa.Table]]] = {
    "pandas": of_pandas,
    "Polars": pl.DataFrame.to_arrow,
    "Arrow": pa.Table.from_batches,
    "DuckDB": lambda scored: scored.to_arrow_table(),
    "Spark": lambda scored: scored.toArrow(),
    "Dask": lambda scored: of_pandas(scored.compute(scheduler="processes")),
    "Ray Data": lambda scored: pa.concat_tables(scored.iter_batches(batch_format="pyarrow")),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of the recipes, with the reviews that they read."""
    folder = tmp_path_factory.mktemp("recipes")
    table = pa.table({"id": range(ROWS), "text": (TEXTS * ROWS)[:ROWS]})
    pq.write_table(table, folder / "reviews.parquet")
    return folder


@pytest.fixture(scope="module")
def systems(folder: Path) -> Iterator[OtherSystems]:
    with OtherSystems(folder) as systems:
        yield systems


@pytest.fixture
def expected(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    """What the recipe for the command line writes, without the texts."""
    monkeypatch.chdir(folder)
    scored = folder / "scored.parquet"
    if not scored.exists():
        program, *arguments = recipes()["Command line"].split()
        assert program == "imdb-classifier"
        assert run(*arguments).code == 0
    return pq.read_table(scored).select(["id", *OURS])


def test_the_guide_has_a_short_recipe_for_each_engine() -> None:
    found = recipes()
    assert list(found) == ["", "Command line", *TO_ARROW]
    for recipe in found.values():
        assert 1 <= len([line for line in recipe.splitlines() if line]) <= MOST_LINES


@pytest.mark.parametrize("engine", TO_ARROW)
def test_the_scores_are_those_of_the_command_line(
    engine: str, expected: pa.Table, systems: OtherSystems
) -> None:
    names: dict[str, Any] = {}
    if engine == "Spark":
        names["spark"] = systems.spark
    elif engine == "Dask":
        pytest.importorskip("dask.dataframe", reason="it comes with the extra dask")
    elif engine == "Ray Data":
        names["ray"] = systems.ray
    exec("\n".join([recipes()[""], recipes()[engine]]), names)
    with names["scorer"]:
        found = TO_ARROW[engine](names["scored"]).select(["id", "text", *OURS]).sort_by("id")
    assert found["sentiment_probability"].type == pa.float32()
    assert found["text"].to_pylist() == (TEXTS * ROWS)[:ROWS]
    for column in expected.column_names:
        assert found[column].to_pylist() == expected[column].to_pylist()
