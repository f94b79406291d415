"""Review text never reaches Prefect: planted words are looked for in all that it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.samples import FOLDER

CANARY = "kanarienvogel"


def _plant(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, write_page_checksum=True)


def test_no_review_text_in_database_logs_and_storage(
    server: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"A {CANARY} of a film"
    train = {"registry": str(tmp_path / "registry"), "recipe": "tiny"}
    planted = tmp_path / "extra.parquet"
    _plant(planted, {"text": [text] * 50, "label": [1] * 50})
    test = {"text": [f"{text} {row}" for row in range(40)], "label": [row % 2 for row in range(40)]}
    _plant(tmp_path / "data" / "test-0.parquet", test)
    _plant(
        tmp_path / "data" / "train-0.parquet",
        pq.read_table(FOLDER / "train-00000-of-00001.parquet").to_pydict(),
    )
    _plant(tmp_path / "labels.parquet", {"text": [text], "label": [text]})
    runs = [
        server.flow_run(
            "flows/train.py:train_imdb",
            data=str(tmp_path / "data"),
            extra_train=[str(file)],
            **train,
        )
        for file in (planted, tmp_path / "labels.parquet")
    ]

    folder = tmp_path / "reviews"
    _plant(folder / "good.parquet", {"text": [text] * 3})
    _plant(folder / "numbers.parquet", {"text": [1], "id": [text]})
    broken = pa.array([text.encode() + b"\xff"]).view(pa.string())
    _plant(folder / "utf8.parquet", {"text": broken})
    (folder / "damaged.parquet").write_bytes(
        (folder / "good.parquet").read_bytes().replace(b"film", b"FILM")
    )
    (folder / "cut.parquet").write_bytes((folder / "good.parquet").read_bytes()[:200])
    output = str(tmp_path / "scored")
    registry = train["registry"]
    score = "flows/score.py:score_parquet"
    runs += [
        server.flow_run(score, source=str(folder), output=output, registry=registry),
        server.flow_run(
            score, source=str(folder / "utf8.parquet"), output=output, registry=registry
        ),
    ]

    assert [state.type.value for state, _ in runs] == ["COMPLETED", "FAILED", "FAILED", "FAILED"]
    statuses = {row["name"]: row["status"] for row in server.table(runs[2][1], "scored-files")}
    assert statuses == {
        "cut.parquet": "failed",
        "damaged.parquet": "failed",
        "good.parquet": "scored",
        "numbers.parquet": "failed",
        "utf8.parquet": "failed",
    }
    # Complete, so that it is in the database.
    assert all(server.logs(run) for _, run in runs)
    assert "3 rows in 5 files: 4 failed, 1 scored" in caplog.text
    assert CANARY not in caplog.text
    kept = [path for path in server.home.rglob("*") if path.is_file()]
    assert "prefect.db" in [path.name for path in kept]
    assert b"score-files" in b"".join(path.read_bytes() for path in kept)
    assert [path.name for path in kept if CANARY.encode() in path.read_bytes()] == []
