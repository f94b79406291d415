"""The number of cores that a process may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.scoring import cores
from imdb_classifier.scoring.cores import THREADS_VARIABLE, available_cores

REAL = Path("/sys/fs/cgroup/cpu")


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight cores, in whose folder of control groups a test may write."""
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "_CGROUPS_OF_PROCESS", tmp_path / "of_process")
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"of_process": "0::/\n"}, 8),
        ({"of_process": "0::/\n", "cpu.max": "max 100000\n"}, 8),
        ({"of_process": "0::/\n", "cpu.max": "200000 100000\n"}, 2),
        ({"of_process": "0::/\n", "cpu.max": "150000 100000\n"}, 2),
        ({"of_process": "0::/\n", "cpu.max": "20000 100000\n"}, 1),
        ({"of_process": "0::/\n", "cpu.max": "9900000 100000\n"}, 8),
        ({"of_process": "0::/\n", "cpu.max": "damaged"}, 8),
        (
            {
                "of_process": "0::/pods/one\n",
                "pods/cpu.max": "300000 100000\n",
                "pods/one/cpu.max": "max 100000\n",
            },
            3,
        ),
        (
            {
                "of_process": "5:memory:/a\n4:cpu,cpuacct:/docker/b\n0::/\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "of_process": "4:cpu:/\n",
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
    ids=[
        "not Linux", "no limit", "max", "two cores", "one and a half", "a fifth",
        "more than there are", "damaged", "of a group around it",
        "version 1, in a container", "version 1, no limit",
    ],
)  # fmt: skip
def test_the_quota_of_a_container_counts(
    eight_cores: Path, files: dict[str, str], expected: int
) -> None:
    write(eight_cores, files)
    assert available_cores() == expected


def test_the_variable_decides(eight_cores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(eight_cores, {"of_process": "0::/\n", "cpu.max": "200000 100000\n"})
    monkeypatch.setenv(THREADS_VARIABLE, "5")
    assert available_cores() == 5


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "many", "²"])
def test_the_variable_is_checked(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, value)
    with pytest.raises(
        ConfigurationError, match=f"must be a whole number above 0. It is '{value}'"
    ):
        available_cores()


def test_a_quota_of_the_kernel_counts() -> None:
    group = REAL / f"imdb_classifier_test_{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("needs the right to make control groups of version 1")
    try:
        write(group, {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"})
        code = (
            f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()));"
            "from imdb_classifier.scoring.cores import available_cores; print(available_cores())"
        )
        environment = {**os.environ, THREADS_VARIABLE: ""}
        printed = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert printed == "1\n"
    finally:
        group.rmdir()
