"""Whatever ends a run: outputs are right or absent, and the next run ends as an undisturbed one."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs import appended_copy
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import ImdbClassifierError
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.scoring.scorer import Scorer

KILLS = 20
FILES, ROWS = 5, 6_000
OPTIONS = ScoreOptions(quarantine=True)
OTHERS = [
    ScoreOptions(columns=["n"], quarantine=True),
    ScoreOptions(on_null="skip", quarantine=True),
]
"""Other ways to write a copy. They share all that is not written by the copy itself."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_source(tmp_path_factory.mktemp("faults") / "in")


def write_source(folder: Path) -> str:
    for number in range(FILES):
        (folder / f"day={number % 2}").mkdir(parents=True, exist_ok=True)
        texts = [
            None if row % 500 == 0 else f"A {'fine' if row % 3 else 'dull'} film, number {row}."
            for row in range(ROWS)
        ]
        day = folder / f"day={number % 2}"
        pq.write_table(pa.table({"text": texts, "n": range(ROWS)}), day / f"{number}.parquet")
    return str(folder)


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(
    source: str, scorer: Scorer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("faults") / "undisturbed"
    assert score_parquet(source, str(folder), scorer, OPTIONS).exit_code == 0
    return written(folder)


def assert_right_or_absent(output: Path, undisturbed: dict[str, bytes]) -> None:
    there = {name: content for name, content in written(output).items() if "/." not in f"/{name}"}
    if "_SUCCESS" not in there:
        there.pop("_MANIFEST.json", None)  # what there may be
    assert there.items() <= undisturbed.items()
    assert "_SUCCESS" not in there or there == undisturbed


def score_in_a_process(bundle: str, source: str, output: str, options: ScoreOptions) -> None:
    with Scorer(load_bundle(Path(bundle)), threads=2) as scorer:
        score_parquet(source, output, scorer, options)


@pytest.mark.parametrize(
    ("options", "most_kills"),
    [(OPTIONS, KILLS), *((other, KILLS // 10) for other in OTHERS)],
    ids=["copied", "columns", "skip"],
)
def test_killed_at_random_moments(
    source: str, scorer: Scorer, tmp_path: Path, options: ScoreOptions, most_kills: int
) -> None:
    print(kill_at_random_moments(source, scorer, tmp_path, options, most_kills))


def kill_at_random_moments(
    source: str, scorer: Scorer, folder: Path, options: ScoreOptions, most_kills: int
) -> dict[str, int]:
    """Kill runs and start them again; check what they leave, and return what happened."""
    assert score_parquet(source, folder / "undisturbed", scorer, options).exit_code == 0
    undisturbed = written(folder / "undisturbed")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["imdb_classifier.batch.run", "tests.faults.test_faults"])
    chance, output = random.Random(5), folder / "out"
    arguments = (str(scorer.bundle.path), source, str(output), options)
    began = time.perf_counter()
    whole = processes.Process(target=score_in_a_process, args=arguments)
    whole.start()
    whole.join()
    longest = time.perf_counter() - began
    assert written(output) == undisturbed
    kills = finished = with_files = 0
    while kills < most_kills:
        if (output / "_SUCCESS").exists():
            # Killed after its last step, a run leaves its lock's file, which locks nobody out.
            (output / ".imdb_classifier.lock").unlink(missing_ok=True)
            assert written(output) == undisturbed
            finished += 1
            shutil.rmtree(output)
        process = processes.Process(target=score_in_a_process, args=arguments)
        process.start()
        process.join(chance.uniform(0, longest))
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
            with_files += any(output.rglob("*.parquet"))
        assert_right_or_absent(output, undisturbed)
    assert score_parquet(source, str(output), scorer, options).exit_code == 0
    assert written(output) == undisturbed
    return {"kills": kills, "with_finished_files": with_files, "runs_finished_between": finished}


def killed_when_a_file_is_named(source: str, output: str, number: int, before: bool) -> None:
    """Score in this process, which is killed when it gives a file its final name."""
    named = 0

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def name(*paths: object) -> None:
            nonlocal named
            named += 1
            if named == number and before:
                os.kill(os.getpid(), signal.SIGKILL)
            call(*paths)
            if named == number:
                os.kill(os.getpid(), signal.SIGKILL)

        return name

    os.link, os.replace = dying(os.link), dying(os.replace)
    with Scorer.load() as scorer:
        score_parquet(source, output, scorer, OPTIONS)


def test_a_single_file_killed_at_every_name_it_gives(source: str, tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["imdb_classifier.batch.run", "tests.faults.test_faults"])
    pq.write_table(pa.table({"text": ["Fine.", None, "Dull."]}), tmp_path / "in.parquet")
    source, expected = str(tmp_path / "in.parquet"), tmp_path / "expected"
    with Scorer.load() as bundled:
        score_parquet(source, str(expected / "a.parquet"), bundled, OPTIONS)
        undisturbed = written(expected)
        assert list(undisturbed) == [
            "_a_parquet.drift.json", "_quarantine/a_parquet.csv", "a.parquet",
        ]  # fmt: skip
        neighbors = [
            ".b.parquet.0011aabb.unfinished",
            "._b_parquet.drift.json.0011aabb.unfinished",
            "_quarantine/.b_parquet.csv.0011aabb.unfinished",
        ]
        kills = [(number, before) for number in (1, 2, 3) for before in (True, False)]
        for number, before in kills:
            output = tmp_path / f"out-{number}-{before}"
            (output / "_quarantine").mkdir(parents=True)
            for name in neighbors:
                (output / name).touch()
            process = processes.Process(
                target=killed_when_a_file_is_named,
                args=(source, str(output / "a.parquet"), number, before),
            )
            process.start()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            there = {name: content for name, content in written(output).items() if content}
            assert [name for name in there if name.endswith(".unfinished")]
            done = {name: there[name] for name in there if "/." not in f"/{name}"}
            assert done.items() <= undisturbed.items()
            assert score_parquet(source, str(output / "a.parquet"), bundled, OPTIONS).exit_code == 0
            assert written(output) == undisturbed | dict.fromkeys(neighbors, b"")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of so many bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: int) -> Path:
        options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        return folder

    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux'")
    yield mount
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.7, 0.9, 0.97])
def test_a_disk_that_fills(
    source: str,
    undisturbed: dict[str, bytes],
    scorer: Scorer,
    tmp_path: Path,
    small_disk: Callable[[int], Path],
    share: float,
) -> None:
    size = sum(-(-len(content) // 4096) * 4096 for content in undisturbed.values())
    disk = small_disk(max(int(share * size) // 4096, 2) * 4096)
    output = disk / "out"
    try:
        result = score_parquet(source, str(output), scorer, OPTIONS)
        assert result.failed
        assert all("No space left on device" in (file.error or "") for file in result.failed)
        assert {file.exit_code for file in result.failed} == {73}
    except ImdbClassifierError as error:
        assert "No space left on device" in str(error)  # noqa: PT017 - either may happen
    assert_right_or_absent(output, undisturbed)
    assert not list(disk.rglob("*.unfinished"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    assert score_parquet(source, str(output), scorer, OPTIONS).exit_code == 0
    assert written(output) == undisturbed


class Faults:
    """Lets one of the calls to the file system fail, of those that concern a folder."""

    def __init__(self) -> None:
        self.folder = ""
        self.calls = self.fails_at = 0

    def call(self, path: object) -> None:
        if self.folder and self.folder in os.fsdecode(path):  # type: ignore[arg-type]
            self.calls += 1
            if self.calls == self.fails_at:
                raise OSError(errno.EIO, "Input/output error")


FAULTS = Faults()
AUDITED = {
    "open",
    "os.link",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.listdir",
    "os.scandir",
}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in AUDITED and isinstance(arguments[0], str | bytes | os.PathLike):
        FAULTS.call(arguments[0])


class FaultyFile:
    """A file that Arrow writes to, whose every call may fail."""

    def __init__(self, path: bytes, mode: str = "rb") -> None:
        FAULTS.call(path)
        self._path, self._file = path, Path(os.fsdecode(path)).open(mode)  # noqa: SIM115

    def __getattr__(self, name: str) -> Any:
        if name in ("write", "read", "flush", "close"):
            FAULTS.call(self._path)
        return getattr(self._file, name)

    def __enter__(self) -> FaultyFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cache
def watch_calls() -> None:
    """Watch calls from now on: an audit hook stays for good."""
    sys.addaudithook(_audit)


@pytest.mark.parametrize(
    ("options", "every"),
    [(OPTIONS, 1), *((other, 6) for other in OTHERS)],
    ids=["copied", "columns", "skip"],
)
def test_an_error_of_the_file_system_at_every_call(
    source: str,
    scorer: Scorer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: ScoreOptions,
    every: int,
) -> None:
    watch_calls()
    # New columns are on disk from their first byte on.
    monkeypatch.setattr(appended_copy, "_PIECE_BYTES", 1_000)
    fsync, os_file = os.fsync, pa.OSFile

    def faulty_fsync(descriptor: int) -> None:
        FAULTS.call(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    def opened(path: bytes, mode: str = "rb") -> Any:
        return FaultyFile(path, mode) if mode == "wb" else os_file(path, mode)

    monkeypatch.setattr(os, "fsync", faulty_fsync)
    monkeypatch.setattr(pa, "OSFile", opened)
    one = f"{source}/day=1"
    expected = tmp_path / "expected"
    score_parquet(one, str(expected), scorer, options)
    for number in count(1, every):
        output = tmp_path / f"out-{number}"
        FAULTS.folder, FAULTS.calls, FAULTS.fails_at = str(output), 0, number
        try:
            assert score_parquet(one, str(output), scorer, options).exit_code in (0, 73, 75)
        except ImdbClassifierError as error:
            assert error.exit_code == 73  # noqa: PT017 - either may happen
        finally:
            FAULTS.folder = ""
        if FAULTS.calls < number:
            break
        if output.exists():
            assert_right_or_absent(output, written(expected))
        assert score_parquet(one, str(output), scorer, options).exit_code == 0
        assert written(output) == written(expected)
        shutil.rmtree(output)
    assert number > 40
    print(f"{number - 1} calls, of which one in {every} failed")


def test_an_input_that_is_removed_in_mid_run(
    source: str, undisturbed: dict[str, bytes], scorer: Scorer, tmp_path: Path
) -> None:
    copy, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(source, copy)

    def remove(*_: object) -> None:
        (copy / "day=0" / "0.parquet").unlink(missing_ok=True)
        (copy / "day=0" / "4.parquet").unlink(missing_ok=True)

    result = score_parquet(str(copy), str(output), scorer, OPTIONS, progress=remove)
    assert {file.name for file in result.failed} <= {"day=0/0.parquet", "day=0/4.parquet"}
    assert result.failed
    assert {file.exit_code for file in result.failed} <= {66, 69}
    shutil.rmtree(output / "_quarantine")  # lists those that were gone before they were read
    assert_right_or_absent(output, undisturbed)
    assert not (output / "_SUCCESS").exists()
