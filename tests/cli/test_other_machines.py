"""The command line as a user without a name, a home or UTF-8, in a package that is read-only."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.samples import FOLDER
from imdb_classifier.storage import LocalStorage
from imdb_classifier.storage.paths import NO_HOME

STRANGER = 54_321
BECOME_STRANGER = [
    "setpriv",
    *("--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups"),
    # May still read the interpreter, which may be in the home directory of another user.
    *("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"),
]
SEVERAL = """
import sys
from imdb_classifier.cli import main

for command in " ".join(sys.argv[1:]).split(" + "):
    sys.argv = ["imdb-classifier", *command.split()]
    try:
        main()
    except SystemExit as ended:
        print("\\nexit", ended.code, flush=True)
"""
"""Runs several commands in one process."""
REPORT = Path("report", "report.html")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Ran(NamedTuple):
    codes: list[int]
    outputs: list[str]
    messages: str

    def json(self, number: int) -> Any:
        return json.loads(self.outputs[number])


def run_all(folder: Path, *commands: str, **variables: str) -> Ran:
    """Run commands in one process, of a stranger and without HOME."""
    if shutil.which("setpriv") is None or subprocess.run([*BECOME_STRANGER, "true"]).returncode:
        pytest.skip("needs setpriv, and a user who may become another")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    ran = subprocess.run(
        [*BECOME_STRANGER, sys.executable, "-c", SEVERAL, " + ".join(commands)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    first, *others = ran.stdout.decode().split("\nexit ")
    codes = [int(piece.splitlines()[0]) for piece in others]
    outputs = [first, *(piece.partition("\n")[2] for piece in others)]
    return Ran(codes, outputs, ran.stderr.decode())


def test_a_stranger_without_a_home_and_utf8(tmp_path: Path) -> None:
    (tmp_path / "größe").mkdir()
    pq.write_table(
        pa.table({"text": ["A wonderful film.", None]}), tmp_path / "größe" / "é.parquet"
    )
    data = f"--data {FOLDER} --json"
    ran = run_all(
        tmp_path,
        "score größe out --json",
        "score größe twice --threads 1",
        "verify out --json",
        "models list --json",
        f"evaluate {data} --output report",
        f"train --recipe tiny {data}",
        f"train --recipe tiny {data} --registry ~/models",
        "doctor out --json",
        f"train --recipe tiny {data} --registry models",
        **ASCII,
        TMPDIR=str(tmp_path),
    )
    assert ran.codes == [0, 0, 0, 0, 0, 73, 73, 0, 0], ran.messages
    assert [file["status"] for file in ran.json(0)["files"]] == ["scored"]
    assert ran.json(0)["files"][0]["name"] == "é.parquet"
    assert "\\xe9.parquet" in ran.outputs[1]
    manifest = json.loads((tmp_path / "out" / "_MANIFEST.json").read_text("utf-8"))
    assert manifest["input"] == f"{tmp_path}/größe"
    assert ran.json(2)["problems"] == []
    assert ran.json(3)["registry"].startswith(f"{NO_HOME}/")
    assert (tmp_path / "report" / "report.html").exists()
    for number in (5, 6):
        error = ran.json(number)["error"]
        assert "The registry must be writable" in error
        assert f"{NO_HOME}/" in error
        assert "IMDB_CLASSIFIER_REGISTRY" in error
    statuses = {found["check"]: found["status"] for found in ran.json(7)["findings"]}
    assert (statuses["registry"], statuses["output"]) == ("ok", "ok")
    assert ran.json(8)["model_id"].startswith("tiny-")
    assert not (tmp_path / "~").exists()
    assert "Traceback" not in ran.messages


@pytest.mark.parametrize("home", ["none", "file"])
def test_matplotlib_needs_no_home_and_leaves_nothing(tmp_path: Path, home: str) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "file").touch()
    ran = run_all(
        tmp_path,
        f"evaluate --data {FOLDER} --output report --json",
        TMPDIR=str(tmp_path / "tmp"),
        **({} if home == "none" else {"HOME": str(tmp_path / home)}),
    )
    assert (ran.codes, ran.messages.splitlines()) == ([0], [f"Report: {REPORT}"])
    assert "<svg" in (tmp_path / REPORT).read_text("utf-8")
    assert [*(tmp_path / "tmp").iterdir()] == []


def test_a_run_of_another_user_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["A wonderful film."]}), tmp_path / "in.parquet")
    with LocalStorage().lock(str(tmp_path / "out")):
        ran = run_all(tmp_path, "score in.parquet out/a.parquet --json")
    assert ran.codes == [73]
    error = ran.json(0)["error"]
    assert f"Another run is writing to {tmp_path}/out, " in error
    assert f": process {os.getpid()} " in error
    assert f" on {platform.node()}. Wait until it has finished" in error


def test_an_llvmlite_that_is_broken_is_named_once(tmp_path: Path) -> None:
    reason = "Could not find/load shared object file: libllvmlite.so"
    (tmp_path / "broken" / "llvmlite").mkdir(parents=True)
    (tmp_path / "broken" / "llvmlite" / "__init__.py").write_text(f"raise OSError({reason!r})\n")
    pq.write_table(pa.table({"text": ["A wonderful film."]}), tmp_path / "in.parquet")
    ran = run_all(
        tmp_path,
        "score in.parquet out.parquet --json",
        "score in.parquet other.parquet --engine compiled --json",
        "score in.parquet third.parquet --engine onnx --json",
        "doctor --json",
        PYTHONPATH=os.pathsep.join(
            filter(None, [str(tmp_path / "broken"), os.environ.get("PYTHONPATH")])
        ),
    )
    assert ran.codes == [0, 78, 0, 78]
    assert (ran.json(0)["engines"], ran.json(2)["engines"]) == (["onnx"], ["onnx"])
    assert ran.messages.count(f"because llvmlite fails (OSError: {reason})") == 1
    assert f"fails with OSError: {reason}" in ran.json(1)["error"]
    assert not (tmp_path / "other.parquet").exists()
    (fault,) = [found for found in ran.json(3)["findings"] if found["status"] == "fault"]
    assert (fault["check"], fault["exit_code"]) == ("engine", 78)
    assert "pip install --upgrade imdb-classifier llvmlite" in fault["message"]
