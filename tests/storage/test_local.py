from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from imdb_classifier.errors import OutputInUseError
from imdb_classifier.storage import storage_of


@pytest.mark.parametrize("name", ["out", "out.parquet"])
def test_runs_stay_alone_however_often_the_lock_changes_hands(tmp_path: Path, name: str) -> None:
    output, inside = str(tmp_path / name), tmp_path / "inside"
    (tmp_path / "out").mkdir()

    def take(times: int) -> None:
        while times:
            with suppress(OutputInUseError), storage_of(output).lock(output):
                inside.touch(exist_ok=False)
                inside.unlink()
                times -= 1

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(take, [200] * 4))
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]
