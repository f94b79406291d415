from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from imdb_classifier.errors import OutputInUseError
from imdb_classifier.storage import LocalStorage

LOCAL = LocalStorage()


@contextmanager
def process_that_locks(folder: Path, *names: str) -> Iterator[subprocess.Popen[str]]:
    program = (
        "import sys, time\n"
        "from imdb_classifier.storage import LocalStorage\n"
        "output, *side_files = sys.argv[1:]\n"
        "with LocalStorage().lock(output, side_files or None): print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, *(str(folder / name) for name in names)]
    environment = {**os.environ, "LOGNAME": "anna"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            os.kill(process.pid, signal.SIGKILL)


def hidden(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(".*"))


LOCKS = {
    "one folder": [("out",)],
    "one file": [("out/x.parquet", "out/_x.json")],
    "a folder in another": [("out",), ("out/sub",)],
    "a file in a folder": [("out",), ("out/x.parquet", "out/_x.json")],
}


def lock(folder: Path, output: str, *side_files: str) -> AbstractContextManager[None]:
    beside = [str(folder / name) for name in side_files]
    return LOCAL.lock(str(folder / output), beside or None)


@pytest.mark.parametrize("locks", LOCKS.values(), ids=LOCKS)
def test_one_at_a_time_however_often_locks_change_hands(
    tmp_path: Path, locks: list[tuple[str, ...]]
) -> None:
    busy = tmp_path / "busy"

    def take(number: int) -> None:
        times = 100
        while times:
            with suppress(OutputInUseError), lock(tmp_path, *locks[number % len(locks)]):
                busy.touch(exist_ok=False)
                busy.unlink()
                times -= 1

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(take, range(4)))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_lock_that_vanishes_with_its_folder_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "out" / "sub" / ".imdb_classifier.lock"
    left.parent.mkdir(parents=True)
    left.touch()
    opened = os.open

    def open_after_the_run_inside_ended(path: str, *options: Any, **more: Any) -> int:
        if path == str(left):
            shutil.rmtree(left.parent, ignore_errors=True)
        return opened(path, *options, **more)

    monkeypatch.setattr("os.open", open_after_the_run_inside_ended)
    with lock(tmp_path, "out"):
        assert not left.parent.exists()


def test_locks_side_by_side_in_a_folder_that_comes_and_goes(tmp_path: Path) -> None:
    def take(number: int) -> None:
        for _ in range(200):
            with lock(tmp_path, f"new/{number}.parquet", f"new/_{number}.json"):
                pass

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(take, range(4)))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize(
    "other", [("out",), ("out/sub",), ("out/x.parquet", "out/_x.json"), ("link/sub",)]
)
def test_processes_exclude_each_other_until_they_end(
    tmp_path: Path, other: tuple[str, ...], turned: bool
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    first, second = (other, ("out",)) if turned else (("out",), other)
    place = re.escape(str(tmp_path / first[0].replace("link", "out")))
    with process_that_locks(tmp_path, *first) as process:
        with (
            pytest.raises(
                OutputInUseError, match=f"Another run is writing to {place}[,:]"
            ) as error,
            lock(tmp_path, *second),
        ):
            pass
        assert f": process {process.pid} of user anna on {platform.node()}. " in str(error.value)
        os.kill(process.pid, signal.SIGKILL)
    # Killed, it leaves its lock, which is in nobody's way.
    assert list(tmp_path.rglob("*.lock"))
    with lock(tmp_path, *second):
        pass
    with lock(tmp_path, *first):
        pass
    assert not list(tmp_path.rglob("*.lock"))


def test_nothing_is_written_around_an_output(tmp_path: Path) -> None:
    output = tmp_path / "around" / "out"
    output.mkdir(parents=True)
    left = output.parent / ".imdb_classifier.lock"
    left.touch()
    os.utime(output.parent, (0, 0))
    with lock(tmp_path, "around/out"):
        pass
    assert output.parent.stat().st_mtime == 0
    assert left.exists()


def test_a_folder_is_read_once_before_and_once_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()
    scandir, listdir = os.scandir, os.listdir

    def counted(read: Callable[[str], Any]) -> Callable[[str], Any]:
        def count(path: str) -> Any:
            reads[os.path.relpath(path, tmp_path)] += 1
            return read(path)

        return count

    for number in range(3):
        (tmp_path / "out" / f"day={number}").mkdir(parents=True)
    monkeypatch.setattr(os, "scandir", counted(scandir))
    monkeypatch.setattr(os, "listdir", counted(listdir))
    with lock(tmp_path, "out"):
        before = dict(reads)
    assert before == dict.fromkeys(["out", "out/day=0", "out/day=1", "out/day=2"], 1)
    assert dict(reads) == {name: 2 * times for name, times in before.items()}
    reads.clear()
    with lock(tmp_path, "out/x.parquet", "out/_x.json"):
        assert reads == {"out": 1}


def test_only_what_an_interrupted_run_of_the_same_file_left_is_deleted(tmp_path: Path) -> None:
    ours = [".x.parquet.0011aabb.unfinished", "._x.json.0011aabb.unfinished"]
    ours.append("_lists/.x.csv.0011aabb.unfinished")
    others = [name.replace("x.", "y.") for name in ours]
    others += [".x.parquet.draft.unfinished", ".x.parquet.parquet.0011aabb.unfinished"]
    (tmp_path / "_lists").mkdir()

    def leave() -> None:
        for name in (*ours, *others):
            (tmp_path / name).touch()

    leave()
    with lock(tmp_path, "x.parquet", "_x.json", "_lists/x.csv"):
        assert hidden(tmp_path) == sorted([*others, ".x.parquet.imdb_classifier.lock"])
        leave()
    assert hidden(tmp_path) == sorted(others)
    with lock(tmp_path, "."):
        assert hidden(tmp_path) == [".imdb_classifier.lock", ".x.parquet.draft.unfinished"]


def test_nothing_is_deleted_while_another_run_is_at_work_there(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with lock(tmp_path, "sub"):
        left = [
            tmp_path / ".a.csv.0011aabb.unfinished",
            tmp_path / "sub/.b.csv.0011aabb.unfinished",
        ]
        for file in left:
            file.touch()
        with pytest.raises(OutputInUseError), lock(tmp_path, "."):
            pass
        assert all(file.exists() for file in left)
    with lock(tmp_path, "."):
        assert not any(file.exists() for file in left)


def test_new_folders_that_stayed_empty_are_removed(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with lock(tmp_path, "."):
        for name in ("new", "new/deeper", "kept"):
            (tmp_path / name).mkdir()
        (tmp_path / "kept" / "a.parquet").touch()
        (tmp_path / "new" / "deeper" / ".a.parquet.0011aabb.unfinished").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "old"]


def test_every_user_can_take_a_lock_that_a_killed_run_left(tmp_path: Path) -> None:
    with LocalStorage().lock(str(tmp_path)):
        (lock,) = tmp_path.iterdir()
        assert stat.S_IMODE(lock.stat().st_mode) == 0o666


def test_who_holds_a_lock_is_not_who_left_it(tmp_path: Path) -> None:
    with process_that_locks(tmp_path, "out") as killed:
        pass
    assert str(killed.pid) in (tmp_path / "out" / ".imdb_classifier.lock").read_text()
    with (
        lock(tmp_path, "out"),
        pytest.raises(OutputInUseError, match=f": process {os.getpid()} "),
        lock(tmp_path, "out/sub"),
    ):
        pass


def test_a_lock_that_is_also_another_file_leaves_that_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("Mine.")
    os.link(mine, tmp_path / ".imdb_classifier.lock")
    with lock(tmp_path, "."):
        pass
    assert mine.read_text() == "Mine."
