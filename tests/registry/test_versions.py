from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from imdb_classifier.errors import (
    BadDataError,
    BundleError,
    CannotWriteError,
    ConfigurationError,
    NoInputError,
    OutputInUseError,
    UnapprovedModelError,
    UnavailableError,
    UnknownModelError,
)
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.model.bundle_writer import with_evaluation
from imdb_classifier.pipeline.train import plan_training
from imdb_classifier.registry import records
from imdb_classifier.registry.access import CHAMPION, ChampionChangedError
from imdb_classifier.registry.pruning import prune
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import LocalStorage, storage_of
from imdb_classifier.storage.files import sha256_of


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.at(tmp_path / "registry")


@pytest.fixture
def registered(registry: Registry, tiny_bundle: Bundle) -> Bundle:
    return registry.register(tiny_bundle, '{"rows": 86}', "# card")


def test_an_empty_registry_has_the_bundled_champion(registry: Registry) -> None:
    assert registry.ids() == []
    assert registry.aliases() == {}
    champion = registry.load(CHAMPION)
    assert champion.path == bundled_path()
    assert registry.load(champion.model_id).path == bundled_path()
    assert registry.aliases_of(champion.model_id) == ["champion"]
    assert [bundle.model_id for bundle in registry.bundles()[0]] == [champion.model_id]
    assert not Path(registry.root).exists()


def test_register_makes_a_challenger_once(
    registry: Registry, registered: Bundle, tiny_bundle: Bundle
) -> None:
    assert registry.ids() == [tiny_bundle.model_id]
    assert registry.aliases() == {"challenger": tiny_bundle.model_id}
    assert registered.evaluation == {"rows": 86}
    for reference in ("@challenger", tiny_bundle.model_id, registered.path, str(registered.path)):
        assert registry.load(reference).path == registered.path
    # The id is made of the content, so the same model is the same version.
    again = registry.register(tiny_bundle, '{"rows": 99}', "# other card")
    assert again.evaluation == {"rows": 86}


def test_promotion_keeps_the_way_back(registry: Registry, registered: Bundle) -> None:
    bundled = registry.load(CHAMPION).model_id
    assert registry.promote("@challenger") == registered.model_id
    assert registry.aliases()["champion"] == registered.model_id
    assert registry.aliases()["previous"] == bundled
    assert registry.load("@previous").model_id == bundled
    # Promoted again, it must not become its own predecessor.
    registry.promote(registered.model_id)
    assert registry.aliases()["previous"] == bundled
    assert registry.promote("@previous") == bundled
    assert registry.load(CHAMPION).model_id == bundled
    assert registry.aliases()["previous"] == registered.model_id


def test_an_alias_outlives_the_release_that_bundled_its_model(
    registry: Registry,
    registered: Bundle,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundled = registry.load(CHAMPION)
    registry.promote("@challenger")
    assert [bundle.model_id for bundle in registry.bundles()[0]] == sorted(
        [bundled.model_id, registered.model_id]
    )
    registry.check_approved(registry.load(bundled.model_id))
    other = with_evaluation(tiny_bundle, "{}", "", tmp_path / "other")
    monkeypatch.setattr("imdb_classifier.registry.versions.bundled_path", lambda: other.path)
    kept = registry.load("@previous")
    assert (kept.model_id, kept.evaluation) == (bundled.model_id, bundled.evaluation)
    assert registry.promote("@previous") == bundled.model_id
    assert registry.load(CHAMPION).model_id == bundled.model_id


@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_a_broken_champion_can_be_rolled_back(
    registry: Registry, registered: Bundle, harm: str
) -> None:
    bundled = registry.load(CHAMPION).model_id
    registry.promote("@challenger")
    if harm == "damaged":
        (registered.path / "model.onnx").write_bytes(b"")
    else:
        shutil.rmtree(registered.path)
    with pytest.raises((BundleError, UnknownModelError), match="model"):
        registry.load(CHAMPION)
    assert registry.promote("@previous") == bundled
    assert registry.load(CHAMPION).model_id == bundled


def test_killed_between_two_aliases_the_old_champion_scores(
    registry: Registry, registered: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = registry.load(CHAMPION).model_id
    write = LocalStorage.write_text
    written: list[str] = []

    def die_at_the_second(storage: LocalStorage, path: str, text: str) -> None:
        if not path.endswith(".json"):
            written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt
        write(storage, path, text)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "write_text", die_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            registry.promote("@challenger")
    assert registry.load(CHAMPION).model_id == bundled
    before = registry.aliases()
    with pytest.raises(NoInputError, match=f"{bundled} is both champion and previous, because"):
        registry.roll_back()
    assert registry.aliases() == before


@pytest.mark.parametrize("reference", ["@previous", "@nobody", "tiny-000000000000", "no/such/path"])
def test_unknown_references_name_what_is_known(
    registry: Registry, registered: Bundle, reference: str
) -> None:
    with pytest.raises(UnknownModelError, match=f"'{reference}' is none of these") as caught:
        registry.load(reference)
    assert f"Known models: @champion, @challenger, {registered.model_id}" in str(caught.value)


def test_a_bundle_outside_can_score_but_not_be_champion(
    registry: Registry, registered: Bundle, tmp_path: Path
) -> None:
    outside = shutil.copytree(registered.path, tmp_path / "outside")
    assert registry.load(outside).path == outside
    with pytest.raises(ConfigurationError, match="Only a version of the registry can be promoted"):
        registry.promote(outside)


def test_a_registry_that_cannot_be_written_says_so(tmp_path: Path, registered: Bundle) -> None:
    (tmp_path / "file").touch()
    broken = Registry.at(tmp_path / "file" / "registry")
    with pytest.raises(CannotWriteError, match=r"file/registry failed: Not a directory\."):
        broken.register(registered, "{}", "")
    with pytest.raises(CannotWriteError, match=r"file/registry failed: .*IMDB_CLASSIFIER_REGISTRY"):
        broken.record(registered.model_id, {"promote": True})


def test_where_the_registry_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "variable"))
    assert Registry.at().root == str(tmp_path / "variable")
    assert Registry.at(tmp_path / "given").root == str(tmp_path / "given")
    monkeypatch.delenv("IMDB_CLASSIFIER_REGISTRY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Registry.at().root == str(tmp_path / "imdb-classifier" / "registry")


def test_a_version_scores_once_it_is_approved(registry: Registry, registered: Bundle) -> None:
    assert registry.decision(registered.model_id) is None
    with pytest.raises(UnapprovedModelError, match=f"{registered.model_id} has not.*promote"):
        Scorer.load("@challenger", registry)
    registry.record(registered.model_id, {"promote": False})
    with pytest.raises(UnapprovedModelError, match=f"{registered.model_id} has not"):
        Scorer.load(registered.model_id, registry)
    Scorer.load("@challenger", registry, allow_unapproved=True).close()
    registry.record(registered.model_id, {"promote": True})
    decision = registry.decision(registered.model_id)
    assert decision is not None
    assert decision["promote"] is True
    assert registry.ids() == [registered.model_id]
    Scorer.load(registered.model_id, registry).close()


@pytest.mark.parametrize(
    "content",
    [b"", b'{"promote": tr', b"[1]", b"\xff", b"[" * 100_000],
    ids=["empty", "cut", "list", "binary", "deep"],
)
def test_a_damaged_decision_is_named_and_made_again(
    registry: Registry, registered: Bundle, content: bytes
) -> None:
    file = Path(registry.decision_file(registered.model_id))
    file.write_bytes(content)
    with pytest.raises(BadDataError, match=rf"{file} is damaged\. .*promote {file.name[:17]}`"):
        Scorer.load("@challenger", registry)
    # It decides again.
    assert registry.is_undecided(registered.model_id)
    (Path(registry.root) / "challenger").unlink()
    assert prune(registry, 0).versions == []
    registry.promote(registered.model_id)
    assert registry.roll_back()[1] == registered.model_id


def test_who_was_champion_may_score(registry: Registry, registered: Bundle) -> None:
    registry.promote("@challenger")
    Scorer.load(CHAMPION, registry).close()
    registry.promote(registry.aliases()["previous"])
    Scorer.load("@previous", registry).close()


def test_manifests_are_read_without_the_models(registry: Registry, registered: Bundle) -> None:
    (registered.path / "model.onnx").unlink()
    bundled = registry.load(CHAMPION)
    assert registry.manifests() == [registered.manifest, bundled.manifest]


def test_the_bundled_model_is_small() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in bundled_path().iterdir():
            wheel.write(file)
    assert packed.tell() < 12_000_000


def test_the_bundled_model_ships_its_evaluation() -> None:
    bundled = Registry.at(Path("nowhere")).load(CHAMPION)
    assert bundled.recipe.name == "production"
    assert bundled.evaluation is not None
    assert bundled.evaluation["rows"] == 25_000
    assert bundled.evaluation["model"]["id"] == bundled.model_id
    assert json.loads((bundled.path / "manifest.json").read_text())["data"]["rows"] == 25_000


@pytest.mark.parametrize("file", ["manifest.json", "model.onnx"])
def test_a_damaged_version_hides_no_other(
    registry: Registry, registered: Bundle, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    other = Path(registry.root, "versions", "tiny-000000000000")
    shutil.copytree(registered.path, other)
    (other / file).write_bytes((other / file).read_bytes()[:200])
    intact, damaged = registry.bundles()
    bundled = registry.load(CHAMPION).model_id
    assert [bundle.model_id for bundle in intact] == [registered.model_id, bundled]
    assert list(damaged) == ["tiny-000000000000"]
    assert f"{file} does not match its SHA-256 checksum" in damaged["tiny-000000000000"]
    assert [manifest["model_id"] for manifest in registry.manifests()][-1] == bundled
    assert ("manifest is damaged" in caplog.text) == (file == "manifest.json")


def test_registering_replaces_a_damaged_version(
    registry: Registry, registered: Bundle, tiny_bundle: Bundle
) -> None:
    report = Path(registry.report_folder(tiny_bundle.model_id, "data"), "report.html")
    report.parent.mkdir(parents=True)
    report.touch()
    (registered.path / "SHA256SUMS").unlink()
    assert registry.register(tiny_bundle, "{}", "").path == registered.path
    assert report.exists()
    (registered.path / "model.onnx").write_bytes(b"")
    registry.register(tiny_bundle, "{}", "")
    assert registry.load("@challenger").model_hash == tiny_bundle.model_hash


def test_decisions_say_when_with_what_and_for_whom(registry: Registry, registered: Bundle) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    registry.record(registered.model_id, {"promote": True}, {"user": "ada"})
    decision = registry.decision(registered.model_id)
    assert decision is not None
    assert before <= datetime.fromisoformat(decision["decided_at"]) <= datetime.now(UTC)
    assert decision["requested_by"] == {"user": "ada"}
    assert decision["packages"]["onnxruntime"] == version("onnxruntime")
    assert decision["packages"]["imdb-classifier"] == version("imdb-classifier")


def test_a_rollback_is_recorded(registry: Registry, registered: Bundle) -> None:
    bundled = registry.load(CHAMPION).model_id
    with pytest.raises(UnknownModelError, match="@previous"):
        registry.roll_back()
    registry.promote("@challenger")
    registry.record(registered.model_id, {"promote": True})
    assert registry.roll_back({"user": "ada"}) == (bundled, registered.model_id)
    assert registry.load(CHAMPION).model_id == bundled
    record = json.loads(Path(registry.root, "versions", f"{bundled}.rollback.json").read_bytes())
    assert (record["champion"], record["previous"]) == (bundled, registered.model_id)
    assert record["requested_by"] == {"user": "ada"}
    assert datetime.fromisoformat(record["decided_at"]).tzinfo == UTC
    assert sorted(registry.ids()) == sorted([bundled, registered.model_id])


def test_a_rollback_that_cannot_be_recorded_stands(
    registry: Registry,
    registered: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundled = registry.champion_id()
    registry.promote("@challenger")
    write = LocalStorage.write_text

    def full(storage: LocalStorage, path: str, text: str) -> None:
        if path.endswith(".rollback.json"):
            raise OSError(28, "No space left on device")
        write(storage, path, text)

    monkeypatch.setattr(LocalStorage, "write_text", full)
    assert registry.roll_back() == (bundled, registered.model_id)
    assert registry.champion_id() == bundled
    assert f"the rollback to {bundled} could not be recorded: The registry" in caplog.text


def test_a_version_is_undecided_until_a_decision(registry: Registry, registered: Bundle) -> None:
    bundled = registry.load(CHAMPION).model_id
    assert registry.is_undecided(registered.model_id)
    assert not registry.is_undecided(bundled)
    registry.promote("@challenger")
    assert not registry.is_undecided(registered.model_id)
    registry.roll_back()
    assert not registry.is_undecided(registered.model_id)
    registry.promote(registered.model_id)
    registry.promote(registered.model_id)
    # Also when no alias points to it any more: it was the champion.
    for alias in ("champion", "previous"):
        (Path(registry.root) / alias).unlink()
    assert not registry.is_undecided(bundled)
    assert not registry.is_undecided(registered.model_id)
    registry.check_approved(registered)


def test_a_registry_that_cannot_be_written_is_noticed_at_once(registry: Registry) -> None:
    registry.check_writable()
    assert not Path(registry.root).exists()
    Path(registry.root).mkdir()
    (Path(registry.root) / "reports").touch()
    with pytest.raises(CannotWriteError, match=r"The registry must be writable\. Writing to"):
        registry.check_writable()


def test_only_the_champion_that_was_found_is_replaced(
    registry: Registry, twins: list[Bundle]
) -> None:
    first, second, third = (registry.register(twin, "{}", "").model_id for twin in twins)
    bundled = registry.champion_id()
    registry.promote(first, champion=bundled)
    before = registry.aliases()
    message = f"It was {bundled}; another run has made it {first}"
    with pytest.raises(ChampionChangedError, match=message):
        registry.promote(second, champion=bundled)
    with pytest.raises(ChampionChangedError, match=message):
        registry.check_champion(bundled)
    assert registry.aliases() == before
    registry.promote(second, champion=first)
    registry.promote(third, champion=second, previous=first)
    assert registry.champion_id() == third
    assert registry.aliases()["previous"] == first


def test_a_promotion_excludes_others_until_it_is_done(
    registry: Registry, registered: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PATIENCE_SECONDS", 0)
    held = []
    point = Registry._point

    def watched(registry: Registry, alias: records.Alias, model_id: str) -> None:
        lock = storage_of(registry.root).lock(f"{registry.root}/champion", [])
        with pytest.raises(OutputInUseError):
            lock.__enter__()
        for change in (lambda: registry.promote("@challenger"), lambda: prune(registry, 0)):
            with pytest.raises(CannotWriteError, match="Only one run at a time can promote, roll"):
                change()
        held.append(alias)
        point(registry, alias, model_id)

    monkeypatch.setattr(Registry, "_point", watched)
    registry.promote("@challenger")
    assert held == ["previous", "champion"]
    assert registry.champion_id() == registered.model_id
    prune(registry, 0)


def test_a_promotion_waits_for_another(
    registry: Registry, registered: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as another:
        another.enter_context(registry.changing())
        monkeypatch.setattr("time.sleep", lambda _: another.close())
        assert registry.promote("@challenger") == registered.model_id


def test_a_rollback_does_not_undo_what_another_run_did_meanwhile(
    registry: Registry, twins: list[Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (registry.register(twin, "{}", "").model_id for twin in twins)
    registry.promote(first)
    registry.promote(second)
    changing = Registry.changing

    @contextmanager
    def late(registry: Registry) -> Iterator[None]:
        monkeypatch.setattr(Registry, "changing", changing)
        registry.promote(third)
        with changing(registry):
            yield

    monkeypatch.setattr(Registry, "changing", late)
    with pytest.raises(ChampionChangedError, match=f"It was {second}; .* made it {third}"):
        registry.roll_back()
    assert registry.champion_id() == third
    assert registry.roll_back() == (second, third)


def test_a_version_that_cannot_be_read_now_is_not_called_damaged(
    registry: Registry, registered: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(location: str) -> None:
        raise OSError(5, "Slow Down")

    for function in ("load_bundle", "manifest_of"):
        monkeypatch.setattr(f"imdb_classifier.registry.versions.{function}", refuses)
    for listing in (registry.bundles, registry.manifests):
        with pytest.raises(UnavailableError, match=f"{registered.path} failed: Slow Down"):
            listing()


@pytest.mark.parametrize("content", ["", "tiny-000000000000"])
def test_an_alias_of_no_version_is_named(
    registry: Registry, registered: Bundle, content: str
) -> None:
    (Path(registry.root) / "champion").write_text(content)
    with pytest.raises(BundleError, match=f"@champion names '{content}', which .* does not have"):
        registry.load(CHAMPION)
    assert registry.aliases_of(registered.model_id) == ["challenger"]
    assert registry.promote("@challenger") == registered.model_id


@pytest.mark.parametrize(
    "manifest",
    ["{", "{}", "[1]", '{"format_version": 1, "model_id": "odd"}', "[" * 100_000],
    ids=["cut", "empty", "list", "incomplete", "deep"],
)
def test_a_manifest_that_is_none_stops_nothing(
    registry: Registry, registered: Bundle, manifest: str
) -> None:
    odd = Path(registry.root, "versions", "odd")
    shutil.copytree(registered.path, odd)
    (odd / "manifest.json").write_text(manifest)
    names = sorted({path.name for path in odd.iterdir()} - {"SHA256SUMS"})
    sums = "".join(f"{sha256_of(odd / name)}  {name}\n" for name in names)
    (odd / "SHA256SUMS").write_text(sums)
    assert registry.bundles()[1].keys() == {"odd"}
    assert plan_training(str(FOLDER), "tiny", 7, registry).trained == registered.model_id
    registry.record("odd", {"promote": False})
    assert prune(registry, 1).versions == ["odd"]


def test_a_damaged_installation_is_said_to_be_damaged(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text("[]")
    monkeypatch.setattr("imdb_classifier.registry.versions.bundled_path", lambda: tmp_path)
    with pytest.raises(BundleError, match=re.escape(str(tmp_path))):
        registry.champion_id()
