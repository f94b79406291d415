"""The weeks of a year: what is delivered, what is run, and what is checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.year import Event
from benchmarks.year_operation import GATES, PROMOTION, SCORING, TRAINING, Operation
from benchmarks.year_reviews import write_reviews
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import counted
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry

_TWO_NIGHTS: Final = {"bad file", "killed worker"}
"""Events that need a second night."""
_ALONE: Final = {"labeled", "killed worker", "server restart"}
"""Events of weeks in which training waits for the nights: it may promote a model, whose outputs are
then scored again, or it would die, too."""
_NIGHT_ROWS: Final = 200
_BIG_NIGHT_FILES: Final = 300
"""Files of a night in which something dies: enough for some seconds of work."""
_TRAIN_ROWS: Final = 1_000
_TEST_ROWS: Final = 4_000
_LABELED_ROWS: Final = 300
_KNOWN_AT_FIRST: Final = 0.65
_STATES: Final = {"bad file": "Failed", "killed worker": "Crashed"}
"""How a first night ends that does not end as Completed."""
_UNFINISHED: Final = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]


class Weeks:
    """Weeks that are played one after the other.

    Args:
        operation: What runs the deployments.
        labeled: How many files of labeled reviews will be delivered in all.

    Attributes:
        timeline: For each week: week, events, nights (their states), training, champion.
        problems: What was not as it should be, as sentences.
    """

    def __init__(self, operation: Operation, labeled: int) -> None:
        self.timeline: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._operation = operation
        self._folder = operation.folder
        self._registry = Registry.at(operation.folder / "registry")
        self._labeled = labeled
        manifests = sorted(self._registry.manifests(), key=lambda found: str(found["created_at"]))
        self._versions = [str(manifest["model_id"]) for manifest in manifests]
        self._seed = 0
        self._states: Counter[str] = Counter()
        self._verdicts: list[str] = []
        self._drifts: list[str] = []
        self._verified = 0
        self._deliver("data/train-0", _TRAIN_ROWS, known=_KNOWN_AT_FIRST, labeled=True)
        self._deliver("data/test-0", _TEST_ROWS, labeled=True)

    def play(self, week: int, events: Sequence[Event]) -> None:
        """Play a week: its nights, its training, and what somebody does by hand."""
        self._label(week, events)
        beside = not _ALONE.intersection(events)
        begun = self._operation.start(TRAINING) if beside else None
        nights = [self._night(week, 1, events)]
        if _TWO_NIGHTS.intersection(events):
            nights.append(self._night(week, 2, events))
        training = self._train(begun or self._operation.start(TRAINING), events)
        if "rollback" in events:
            self._by_hand("rolled back", action="rollback")
        if "promotion" in events:
            self._by_hand("promoted", action="promote", model="@previous", gates=dict(GATES))
        champion = self._registry.load(CHAMPION).model_id
        self.timeline.append(
            {
                "week": week,
                "events": list(events),
                "nights": nights,
                "training": training,
                "champion": champion,
            }
        )

    def _deliver(self, name: str, rows: int, **kind: Any) -> None:
        self._seed += 1
        write_reviews(self._folder / f"{name}.parquet", rows, self._seed, **kind)

    def _night(self, week: int, night: int, events: Sequence[Event]) -> str:
        """Deliver reviews and score them; returns the state of the run."""
        first = night == 1
        is_killed = first and "killed worker" in events
        is_last = night == 2 or not _TWO_NIGHTS.intersection(events)
        is_cut_off = is_last and "server restart" in events
        files = _BIG_NIGHT_FILES if is_killed or is_cut_off else 1
        for number in range(files):
            name = f"reviews/week-{week:02}-night-{night}-{number:03}"
            self._deliver(name, _NIGHT_ROWS // min(files, 4), strange="drift" in events)
        if "bad file" in events:
            bad = f"reviews/week-{week:02}-late"
            if first:
                (self._folder / f"{bad}.parquet").write_bytes(b"not Parquet")
            else:
                self._deliver(bad, _NIGHT_ROWS)
        operation = self._operation
        if is_killed:
            run = operation.kill_in_mid_run(SCORING)
        elif is_cut_off:
            run = operation.restart_in_mid_run(SCORING)
        else:
            run = operation.run(SCORING)
        expected = [state for event, state in _STATES.items() if first and event in events]
        state = self._check(f"week {week}, night {night}", run, *(expected or ["Completed"]))
        if "drift" in events:
            self._drifts.append(run["id"])
        if state == "Completed":
            verification = verify_output(self._folder / "scored", registry=self._registry)
            self._verified += 1
            self.problems += [
                f"week {week}, night {night}: {problem.file}: {problem.what}"
                for problem in verification.problems
            ]
        return state

    def _label(self, week: int, events: Sequence[Event]) -> None:
        wrong = "labeled/wrong"
        if "wrong labels" in events:
            # Twice as many as right ones.
            right = _TRAIN_ROWS + _LABELED_ROWS * len(
                list((self._folder / "labeled").glob("week-*"))
            )
            self._deliver(wrong, 2 * right, labeled=True, swapped=True)
        if "removed labels" in events:
            (self._folder / f"{wrong}.parquet").unlink()
        if "labeled" in events:
            done = len(list((self._folder / "labeled").glob("week-*"))) + 1
            known = _KNOWN_AT_FIRST + (1 - _KNOWN_AT_FIRST) * done / self._labeled
            self._deliver(f"labeled/week-{week:02}", _LABELED_ROWS, known=known, labeled=True)

    def _train(self, begun: str, events: Sequence[Event]) -> str:
        """Wait for the end of a training; returns what was decided."""
        run = self._operation.ended(begun)
        if "labeled" in events:
            expected = ["Completed", "NotPromoted"]
        else:
            expected = ["NotPromoted"] if "wrong labels" in events else ["NothingToLearn"]
        state = self._check("training", run, *expected)
        if state not in ("Completed", "NotPromoted"):
            return "nothing new to learn" if state == "NothingToLearn" else state
        self._versions.append(self._registry.aliases()["challenger"])
        decision = self._registry.decision(self._versions[-1]) or {}
        verdict = "promoted" if decision["promote"] else "refused"
        self._decided(verdict)
        new, old = (decision["overall"][f"{name}_accuracy"] for name in ("challenger", "champion"))
        return f"{verdict}: {100 * new:.1f} %, {100 * (new - old):+.1f} points"

    def _by_hand(self, verdict: str, **parameters: Any) -> None:
        run = self._operation.run(PROMOTION, **parameters)
        state = self._check(parameters["action"], run, "Completed")
        self._decided(verdict if state == "Completed" else "refused")

    def _decided(self, verdict: str) -> None:
        """Wait, if there is a new champion, until outputs of the former one are scored again."""
        self._verdicts.append(verdict)
        changes = len(self._verdicts) - self._verdicts.count("refused")
        if verdict != "refused":
            run = self._operation.runs_after_promotions(changes)[-1]
            self._check("run after a promotion", run, "Completed")

    def _check(self, what: str, run: dict[str, Any], *expected: str) -> str:
        """Note the state of a run that has ended, and return it."""
        state: str = run["state_name"]
        self._states[state] += 1
        if state not in expected:
            message = run["state"]["message"]
            self.problems.append(f"{what}: {state} instead of {' or '.join(expected)}: {message}")
        return state

    def left(self) -> dict[str, Any]:
        """Check what is left.

        Returns:
            runs, states (their number by name), verified (nights), decisions (by verdict),
            versions and keep.
        """
        server, registry = self._operation.server, self._registry
        unfinished = server.filter(
            "flow_runs", flow_runs={"state": {"type": {"any_": _UNFINISHED}}}
        )
        self.problems += [f"{run['name']} is still {run['state_name']}" for run in unfinished]
        limits = server.filter("v2/concurrency_limits")
        self.problems += [
            f"{limit['name']} has {limit['active_slots']} slots taken"
            for limit in limits
            if limit["active_slots"]
        ]
        kept = {*self._versions[-self._operation.keep :], *registry.aliases().values()}
        root = Path(registry.root)
        files = [*(root / "versions").iterdir(), *(root / "reports").iterdir()]
        for what, names in (
            ("versions", set(registry.ids())),
            ("versions, decisions and reports", {file.name.partition(".")[0] for file in files}),
        ):
            if names != kept:
                self.problems.append(
                    f"{what} of {sorted(names)} are left instead of {sorted(kept)}"
                )
        self.problems += [f"{path.name} is left in work" for path in registry.work.glob("*")]
        artifacts = server.filter("artifacts", artifacts={"key": {"like_": "imdb-promotion-%"}})
        told = [
            verdict
            for artifact in sorted(artifacts, key=lambda artifact: str(artifact["created"]))
            for verdict in ("promoted", "refused", "rolled back")
            if artifact["description"].startswith(verdict)
        ]
        if told != self._verdicts:
            self.problems.append(f"The artifacts tell {told} instead of {self._verdicts}")
        for run in self._drifts:
            if "Input drift" not in server.artifact(run, "batch-drift")["description"]:
                self.problems.append(f"{run} shows no drift")
        runs = server.post("/flow_runs/count")
        if runs != self._states.total():
            self.problems.append(f"{counted(runs, 'run')} instead of {self._states.total()}")
        return {
            "runs": runs,
            "states": dict(self._states),
            "verified": self._verified,
            "decisions": dict(Counter(self._verdicts)),
            "versions": len(registry.ids()),
            "keep": self._operation.keep,
        }
