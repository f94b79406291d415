from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imdb_classifier.errors import ConfigurationError, UnavailableError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.pruning import prune
from imdb_classifier.registry.training_runs import training_run
from imdb_classifier.registry.versions import Registry
from imdb_classifier.storage import LocalStorage, storage_of

Populate = Callable[[str], Registry]


@pytest.fixture
def populate(tiny_bundle: Bundle) -> Populate:
    """Fills a registry with refused versions a to f, from the oldest to the newest."""

    def populate(root: str) -> Registry:
        registry = Registry.at(root)
        storage = storage_of(root)
        for day, name in enumerate("abcdef", 1):
            manifest = {
                "model_id": name,
                "created_at": f"2026-01-{day:02}T03:00:00+00:00",
            }
            for file, text in (("manifest.json", json.dumps(manifest)), ("SHA256SUMS", "")):
                storage.write_text(f"{root}/versions/{name}/{file}", text)
            storage.write_text(f"{root}/reports/{name}/data/report.html", "")
            registry.record(name, {"promote": False})
        return registry

    return populate


def test_the_newest_and_those_in_use_are_kept(populate: Populate, tmp_path: Path) -> None:
    registry = populate(str(tmp_path))
    for alias, name in (("champion", "a"), ("previous", "b"), ("challenger", "c")):
        (tmp_path / alias).write_text(name)
    (tmp_path / "versions" / "d.decision.json").unlink()
    assert prune(registry, 1, dry_run=True).versions == ["e"]
    assert registry.ids() == [*"abcdef"]
    assert prune(registry, 1).versions == ["e"]
    assert registry.ids() == [*"abcdf"]
    assert prune(registry, 1).versions == []
    (tmp_path / "versions" / "d.decision.json").write_text("{}")
    (tmp_path / "challenger").write_text("f")
    assert prune(registry, 0).versions == ["c", "d"]
    assert registry.ids() == [*"abf"]


def test_nothing_of_a_pruned_version_is_left(populate: Populate, tmp_path: Path) -> None:
    registry = populate(str(tmp_path))
    assert prune(registry, 5).versions == ["a"]
    assert not [path for path in tmp_path.rglob("*") if path.name.split(".")[0] == "a"]


def test_a_damaged_version_counts_as_the_oldest(populate: Populate, tmp_path: Path) -> None:
    registry = populate(str(tmp_path))
    (tmp_path / "versions" / "f" / "manifest.json").write_text("{")
    # Nobody can decide on it any more.
    (tmp_path / "versions" / "f.decision.json").unlink()
    assert prune(registry, 5).versions == ["f"]


def test_a_version_that_is_just_being_registered_is_not_called_damaged(
    populate: Populate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = populate(str(tmp_path))
    manifests = Registry.manifests

    def then_register(self: Registry) -> list[dict[str, Any]]:
        found = manifests(self)
        (tmp_path / "versions" / "g").mkdir()
        for file in (tmp_path / "versions" / "f").iterdir():
            (tmp_path / "versions" / "g" / file.name).write_bytes(file.read_bytes())
        return found

    monkeypatch.setattr(Registry, "manifests", then_register)
    assert prune(registry, 5).versions == ["a"]


def test_a_version_that_cannot_be_read_now_is_not_taken_for_an_old_one(
    populate: Populate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = populate(str(tmp_path))
    read = LocalStorage.read_text

    def refuses(storage: LocalStorage, path: str) -> str:
        if path.endswith("versions/e/manifest.json"):
            raise OSError(5, "Slow Down")
        return read(storage, path)

    monkeypatch.setattr(LocalStorage, "read_text", refuses)
    with pytest.raises(UnavailableError, match=r"Reading .*/versions/e failed: Slow Down\."):
        prune(registry, 5)
    assert registry.ids() == [*"abcdef"]


def test_a_version_that_becomes_the_champion_meanwhile_is_kept(
    populate: Populate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = populate(str(tmp_path))
    delete = Registry.delete

    def late(registry: Registry, name: str) -> None:
        (tmp_path / "champion").write_text("b")
        delete(registry, name)

    monkeypatch.setattr(Registry, "delete", late)
    assert prune(registry, 3).versions == ["a", "c"]
    assert registry.ids() == [*"bdef"]


def test_versions_in_an_object_store_are_pruned(
    populate: Populate, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = populate(f"{bucket}/models")
    storage = storage_of(registry.root)
    for left in ("0123456789ab/model.onnx", "0123456789ab.decision.json"):
        storage.write_text(f"{registry.root}/versions/tiny-{left}", "")
    pruned = prune(registry, 2)
    assert (pruned.versions, pruned.leftovers) == ([*"abcd"], [])
    assert registry.ids() == [*"ef"]
    later = time.time_ns() + 2 * 24 * 60 * 60 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    leftovers = ["tiny-0123456789ab", "tiny-0123456789ab.decision.json"]
    assert prune(registry, 2).leftovers == leftovers
    names = storage.find(registry.root).names
    assert {name.split("/")[1].split(".")[0] for name in names} == {"e", "f"}


def test_what_killed_runs_left_is_deleted_after_a_day(populate: Populate, tmp_path: Path) -> None:
    registry = populate(str(tmp_path))
    versions = tmp_path / "versions"
    damaged, gone, busy = (f"tiny-{digit * 12}" for digit in "123")
    (tmp_path / "champion").write_text(damaged)
    leftovers = [
        f".{gone}.0011aabb.unfinished",
        f".{gone}.decision.json.0011aabb.unfinished",
        gone,
        f"{gone}.decision.json",
        f"{gone}.rollback.json",
    ]
    others = [damaged, f"{damaged}.decision.json", "backup", "notes.txt", f".{busy}.77.unfinished"]
    for name in (*leftovers, *others):
        if name.endswith((".json", ".txt", "json.0011aabb.unfinished")):
            (versions / name).touch()
        else:
            (versions / name).mkdir()
        os.utime(versions / name, ns=(0, 0))
    written = versions / f".{busy}.77.unfinished" / "model.onnx"
    written.touch()
    os.utime(written.parent, ns=(0, 0))
    before = sorted(path.name for path in versions.iterdir())
    assert prune(registry, 6, dry_run=True).leftovers == leftovers
    assert sorted(path.name for path in versions.iterdir()) == before
    assert prune(registry, 6).leftovers == leftovers
    assert sorted(path.name for path in versions.iterdir()) == sorted({*before} - {*leftovers})
    os.utime(written, ns=(0, 0))
    os.utime(written.parent, ns=(0, 0))
    assert prune(registry, 6).leftovers == [written.parent.name]
    assert registry.ids() == [*"abcdef"]


def test_the_bundled_model_survives_its_pruned_copy(tiny_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry.at(tmp_path / "registry")
    bundled = registry.load(CHAMPION).model_id
    registry.register(tiny_bundle, "{}", "")
    registry.promote("@challenger")
    (tmp_path / "registry" / "previous").unlink()
    assert prune(registry, 0).versions == [bundled]
    assert registry.load(bundled).model_id == bundled


def test_a_negative_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"at least 0\. It is -1\."):
        prune(Registry.at(tmp_path), -1)


def test_what_interrupted_trainings_left_is_deleted(tmp_path: Path) -> None:
    registry = Registry.at(tmp_path)
    for day, name in enumerate(("tiny-1-old", "tiny-2-busy", "tiny-3-older", "tiny-4-new")):
        written = registry.work / name / "checkpoints" / "epoch-1" / "model.keras"
        written.parent.mkdir(parents=True)
        written.touch()
        os.utime(written, ns=(0, -1 if name == "tiny-3-older" else day))
    with training_run(registry.work, "tiny-2-busy"):
        assert prune(registry, 2, dry_run=True).trainings == ["tiny-3-older", "tiny-1-old"]
        assert len([*registry.work.iterdir()]) == 4
        assert prune(registry, 2).trainings == ["tiny-3-older", "tiny-1-old"]
        left = sorted(path.name for path in registry.work.iterdir())
        assert left == ["tiny-2-busy", "tiny-4-new"]
        assert [*registry.work.glob("tiny-2-busy/checkpoints/*/model.keras")]
        assert prune(registry, 0).trainings == ["tiny-4-new"]
    assert prune(registry, 0).trainings == []
    assert not [*registry.work.glob("*")]
