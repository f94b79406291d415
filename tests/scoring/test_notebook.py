"""Scoring in a Jupyter notebook, with what its user sees below each cell."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.waiting import PATIENCE_SECONDS

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "python.md"
FRAME = """
import pandas as pd

df = pd.DataFrame({"text": ["A warm, funny and moving film.", "A dull, empty waste of time."]})
"""
LATER = """
cancel.set()
print(score_parquet("reviews/", "later/", cancel=cancel).summary)
"""


def cells_of_the_guide() -> list[str]:
    """Return its blocks on frames, and on progress."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    frames, progress = blocks[0], next(block for block in blocks if "progress=" in block)
    return [FRAME + frames + "scored", progress, LATER]


def test_the_guide_runs_in_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="installed by `make interop`")
    nbformat = pytest.importorskip("nbformat", reason="installed by `make interop`")
    pytest.importorskip("ipykernel", reason="installed by `make interop`")
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    (tmp_path / "reviews").mkdir()
    pq.write_table(
        pa.table({"text": ["A warm, funny film."] * 5_000}), tmp_path / "reviews" / "a.parquet"
    )
    cells = [nbformat.v4.new_code_cell(code) for code in cells_of_the_guide()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(
        notebook,
        timeout=PATIENCE_SECONDS,
        startup_timeout=PATIENCE_SECONDS,
        kernel_name="python3",
        resources=resources,
    ).execute()

    frame, progress, later = notebook.cells
    shown = frame.outputs[-1].data["text/html"]
    assert shown.index("positive</td>") < shown.index("negative</td>")
    printed = "".join(output.text for output in progress.outputs)
    assert "5,000 of 5,000" in printed
    assert "1 file scored" in printed
    assert {output.name for output in progress.outputs} == {"stdout"}
    assert (tmp_path / "scored" / "_SUCCESS").exists()
    assert "1 file" in later.outputs[0].text
    assert not (tmp_path / "later" / "a.parquet").exists()
