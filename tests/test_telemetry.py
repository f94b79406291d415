"""Nothing phones home or can be reached from elsewhere, and all files are in configured folders.

Native code opens sockets that Python does not know of, so strace records the calls.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.samples import FOLDER
from tests.extras import needs

CHECKOUT: Final = Path(__file__).parents[1]
STRACE: Final = (
    "strace",
    "-f",
    "--seccomp-bpf",
    "-qq",
    "-s",
    "200",
    "-e",
    "trace=bind,listen,connect,sendto,sendmsg,sendmmsg,open,openat",
)
MODELS: Final = ".local/share/imdb-classifier/"
TRAINING: Final = (MODELS, ".keras/", ".cache/matplotlib/")
PREFECT: Final = ".prefect/"
COMMAND: Final = ("-m", "imdb_classifier")
DATA: Final = ("--data", str(FOLDER))
WITHOUT_COMPILED_ENGINE: Final = """
import sys
sys.modules["llvmlite"] = None
from imdb_classifier.cli import main
main()
"""
FRAME: Final = """
import pandas, imdb_classifier
print(imdb_classifier.score_dataframe(pandas.DataFrame({"text": ["A fine film."]})))
"""


def can_trace() -> bool:
    """Whether strace is installed and permitted to trace processes."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run([*STRACE, "true"], capture_output=True).returncode == 0


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a user who has set nothing."""
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    # Flows run as scripts do not have the checkout on their path.
    return {"PATH": path, "HOME": str(home), "PYTHONPATH": str(CHECKOUT), **variables}


def calls_to_others(trace: str) -> list[str]:
    """Return the system calls that address another machine or a name server, or let them call."""
    return [
        line
        for line in trace.splitlines()
        if "AF_INET" in line
        and ("htons(53)" in line or not re.search(r'"127\.|"::1"|"::ffff:127\.', line))
    ]


def foreign_files(trace: str, folder: Path) -> list[str]:
    """Return the files that were opened, or looked for, outside of a folder and the system's.

    Of the folders around its output, a run looks for locks of other runs.
    """
    own = (folder, CHECKOUT, sys.prefix, sys.base_prefix, "/usr", "/lib", "/etc")
    known = tuple(f"{prefix}/" for prefix in (*own, "/lib64", "/proc", "/sys", "/dev"))
    opened = re.findall(r'\bopen(?:at)?\((?:AT_FDCWD, )?"(/[^"]*)"', trace)
    outside = {name for name in opened if not f"{name}/".startswith(known)}
    return sorted(name for name in outside if not name.endswith("/.imdb_classifier.lock"))


def assert_quiet(tmp_path: Path, *arguments: str, writes: tuple[str, ...] = ()) -> None:
    """Run a program in an empty home folder; check what it wrote and whom it called."""
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    tracing = can_trace()
    tracer = [*STRACE, "-o", str(tmp_path / "trace")] if tracing else []
    ran = subprocess.run(
        [*tracer, sys.executable, *arguments],
        env=environment(tmp_path / "home", TMPDIR=str(tmp_path / "temporary")),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    found = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    names = [path.relative_to(tmp_path / "home").as_posix() for path in found]
    assert [name for name in names if not name.startswith(writes or ("\0",))] == []
    left = [path.relative_to(tmp_path / "temporary") for path in tmp_path.glob("temporary/**/*")]
    # Dask leaves a folder of locks.
    assert [path for path in left if path.parts[0] != "dask-scratch-space"] == []
    if not tracing:
        pytest.skip("strace is not installed or not permitted: network calls were not checked")
    trace = (tmp_path / "trace").read_text(errors="replace")
    assert calls_to_others(trace) == []
    if not writes:
        assert foreign_files(trace, tmp_path) == []
    if PREFECT not in writes:
        assert " listen(" not in trace


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": ["A fine film.", "Dull."]}), tmp_path / "in" / "a.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        (*COMMAND, "score", "in", "out"),
        ("-c", WITHOUT_COMPILED_ENGINE, "score", "in", "out"),
        ("-c", FRAME),
        (*COMMAND, "plan", "in", "out"),
        (*COMMAND, "models", "list"),
        (*COMMAND, "evaluate", *DATA),
    ],
    ids=["score", "score with ONNX Runtime", "score_dataframe", "plan", "models list", "evaluate"],
)
def test_a_command_writes_nothing_and_calls_nobody(
    reviews: Path, arguments: tuple[str, ...]
) -> None:
    assert_quiet(reviews, *arguments)


def test_verify_writes_nothing_and_calls_nobody(reviews: Path) -> None:
    score = [sys.executable, *COMMAND, "score", "in", "out"]
    subprocess.run(score, env=environment(reviews), cwd=reviews, check=True, capture_output=True)
    assert_quiet(reviews, *COMMAND, "verify", "out")


def test_training_writes_into_its_folders_and_calls_nobody(tmp_path: Path) -> None:
    assert_quiet(tmp_path, *COMMAND, "train", "--recipe", "tiny", *DATA, writes=TRAINING)


@needs("prefect", "flows")
def test_the_flow_writes_into_prefects_folder_and_calls_nobody(reviews: Path) -> None:
    assert_quiet(reviews, *COMMAND, "score", "in", "out", "--runner", "process", writes=(PREFECT,))


@needs("prefect_dask", "dask")
def test_a_cluster_of_this_machine_cannot_be_reached_from_another(reviews: Path) -> None:
    assert_quiet(reviews, *COMMAND, "score", "in", "out", "--runner", "dask", writes=(PREFECT,))


@needs("prefect", "flows")
@pytest.mark.parametrize(("chosen", "expected"), [(None, "False"), ("true", "True")])
def test_prefect_reports_nothing_unless_told_to(
    tmp_path: Path, chosen: str | None, expected: str
) -> None:
    program = (
        "import imdb_classifier.tasks; from prefect.settings import get_current_settings\n"
        "print(get_current_settings().server.analytics_enabled)"
    )
    variables = {"PREFECT_SERVER_ANALYTICS_ENABLED": chosen} if chosen else {}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path, **variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == expected
