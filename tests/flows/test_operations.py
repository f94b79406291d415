"""What `automate` and `undeploy` leave on a Prefect server, and the notifications that arrive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed

from imdb_classifier.flows import score_parquet
from imdb_classifier.operations.configured import configured_automations
from imdb_classifier.tasks.events import emit
from tests.command_line import CANARY, Outcome, Run
from tests.flows.conftest import write_reviews
from tests.servers import free_port

DEAD = "imdb-classifier runs that died"
NOTIFIERS = ["imdb-classifier drift notifications", "imdb-classifier run notifications"]
TRIGGERS = [
    "imdb-classifier retrains on drift",
    "imdb-classifier scores again after a promotion",
]
DEPLOYMENTS = [
    "evaluate-imdb/on-demand",
    "promote-model/on-demand",
    "score-parquet/nightly",
    "train-imdb/weekly",
]
BLOCK = "imdb-classifier-notifications"


@pytest.fixture(autouse=True)
def empty(server: Any) -> Iterator[None]:
    """A server without deployments, automations and our block, before and after."""

    def clean() -> None:
        server.delete("automations")
        server.delete("deployments")
        server.delete("block_documents", BLOCK)

    clean()
    yield
    clean()


def automations(server: Any) -> list[str]:
    return sorted(found["name"] for found in server.filter("automations"))


class Hook(NamedTuple):
    """A webhook on this machine."""

    url: str
    received: list[dict[str, str]]

    def texts(self) -> list[str]:
        return [message["text"] for message in self.received]


@pytest.fixture
def hook() -> Iterator[Hook]:
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield Hook(f"http://127.0.0.1:{http.server_port}/hook", received)
        http.shutdown()
        thread.join()


def older(server: Any, **changes: Any) -> str:
    """Replace the only automation by one of an older release; returns its id."""
    (found,) = server.filter("automations")
    server.delete("automations")
    kept = {key: found[key] for key in ("name", "description", "trigger", "actions")}
    kept["trigger"]["within"] = 900
    made: str = server.post("/automations/", **kept, **changes)["id"]
    return made


@pytest.mark.covers("automate --json")
def test_automations_exist_once_however_often_they_are_applied(server: Any, run: Run) -> None:
    for change in ("created", "unchanged"):
        outcome = run("automate", "--json")
        assert outcome.json == {"automations": [{"name": DEAD, "change": change}]}
    older(server)
    (first,) = server.filter("automations")
    # As an older release of the guide did it, once more.
    server.post("/automations/", **{key: first[key] for key in ("name", "trigger", "actions")})

    assert run("automate", "--json").json == {"automations": [{"name": DEAD, "change": "updated"}]}
    (again,) = server.filter("automations")
    assert again["trigger"]["within"] == 600


def test_an_automation_that_was_switched_off_stays_off(server: Any, run: Run) -> None:
    assert run("automate").code == 0
    automation = older(server, enabled=False)
    assert run("automate").code == 0
    (again,) = server.filter("automations")
    assert (again["id"], again["enabled"]) == (automation, False)
    assert again["trigger"]["within"] == 600


@pytest.mark.covers("automate --notify")
def test_the_address_is_remembered_and_can_be_changed(
    server: Any, run: Run, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("automate", "--notify", "http://127.0.0.1:9/old").code == 0
    assert automations(server) == [*NOTIFIERS, DEAD]
    monkeypatch.setenv("IMDB_CLASSIFIER_NOTIFY", hook.url)
    assert run("automate").code == 0
    monkeypatch.delenv("IMDB_CLASSIFIER_NOTIFY")
    assert run("automate").code == 0
    assert automations(server) == [*NOTIFIERS, DEAD]
    our_flow("train-imdb", Failed(message="No reviews."))
    server.wait_for("notification", hook.texts)


def test_an_address_that_is_none_is_refused(server: Any, run: Run) -> None:
    outcome = run("automate", "--notify", "hooks.slack.com/services/T0")
    assert outcome.code == 2
    assert "--notify must be a URL that starts with http:// or https://" in outcome.err
    assert automations(server) == []


def our_flow(name: str, state: State[Any]) -> UUID:
    """Run a flow that has the name of one of ours and ends in a state; returns its run's id."""

    @flow(name=name)
    def stands_in() -> State[Any]:
        return state

    ended = stands_in(return_state=True)
    assert ended.state_details.flow_run_id is not None
    return ended.state_details.flow_run_id


def test_each_notification_names_run_state_and_link_and_no_review(
    server: Any, run: Run, hook: Hook, tmp_path: Path
) -> None:
    assert run("automate", "--notify", hook.url).code == 0
    ui = server.api.removesuffix("/api")

    def arrives(run_id: UUID | str, *words: str) -> None:
        name, link = server.get(f"/flow_runs/{run_id}")["name"], f"{ui}/runs/flow-run/{run_id}"
        server.wait_for(
            f"notification of {run_id}: {words}",
            lambda: any(
                all(word in text for word in (name, link, *words)) for text in hook.texts()
            ),
        )

    # Flows of others come first, so that their messages would have arrived when ours have.
    other = our_flow("somebody-elses", Failed(message="not ours"))
    changes = {"scores": 8.63, "lengths": 1.0}

    def drifts() -> State[Any]:
        emit("drift.detected", "batch", "scored", "seed-0123", {"rows": 9, "changes": changes})
        return Completed()

    flow(name="somebody-elses")(drifts)()

    write_reviews(tmp_path / "reviews" / "a.parquet", [CANARY], id=[1])
    (tmp_path / "reviews" / "b.parquet").write_text(CANARY)
    state, failed = server.flow_run(
        "flows/score.py:score_parquet",
        source=str(tmp_path / "reviews"),
        output=str(tmp_path / "scored"),
        registry=str(tmp_path / "none"),
    )
    assert state.is_failed()
    arrives(failed, ": Failed. ", "1 of 2 failed")
    arrives(our_flow("train-imdb", Completed(name="NotPromoted")), ": NotPromoted. ")
    arrives(our_flow("evaluate-imdb", Crashed(message="It died.")), ": Crashed. It died.")

    in_use: State[Any] = Cancelled(name="OutputInUse", message="Another run is writing.")
    arrives(our_flow("score-parquet", in_use), ": OutputInUse. Another run is writing.")
    drifted = flow(name="score-parquet")(drifts)(return_state=True).state_details.flow_run_id
    assert drifted is not None
    arrives(drifted, ": input drift (scores, lengths). ")

    score_parquet.to_deployment("late").apply()
    late = server.deployment("score-parquet/late")["id"]
    due = datetime.now(UTC) - timedelta(hours=1)
    scheduled = {
        "type": "SCHEDULED",
        "name": "Scheduled",
        "state_details": {"scheduled_time": due.isoformat()},
    }
    parameters = {"source": "in", "output": "out"}
    path = f"/deployments/{late}/create_flow_run"
    arrives(server.post(path, state=scheduled, parameters=parameters)["id"], ": Late. ")

    # Prefect may deliver one twice where it is overloaded.
    assert len({*hook.texts()}) == 6
    assert not any(CANARY in text or str(other) in text for text in hook.texts())


def test_only_our_runs_are_marked_as_crashed(
    server: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = configured_automations()
    configured[0]["trigger"]["within"] = 10
    monkeypatch.setattr(
        "imdb_classifier.operations.automations.configured_automations", lambda: configured
    )
    assert run("automate").code == 0

    def running(flow_name: str) -> str:
        flow_id = server.post("/flows/", name=flow_name)["id"]
        state = {"type": "RUNNING", "name": "Running"}
        begun = server.post("/flow_runs/", flow_id=flow_id, state=state)["id"]
        server.heartbeat(begun, flow_name)
        return str(begun)

    other, ours = running("somebody-elses"), running("train-imdb")
    # An update would forget them.
    assert run("automate").code == 0
    server.wait_for("end of our dead run", lambda: server.has_ended(ours))
    assert server.get(f"/flow_runs/{ours}")["state_type"] == "CRASHED"
    assert server.get(f"/flow_runs/{other}")["state_type"] == "RUNNING"


def global_limits(server: Any) -> list[str]:
    return [limit["name"] for limit in server.post("/v2/concurrency_limits/filter")]


def removed(outcome: Outcome) -> list[tuple[str, str]]:
    assert outcome.code == 0, outcome.err
    return [(found["kind"], found["name"]) for found in outcome.json["removed"]]


@pytest.mark.covers("undeploy --dry-run", "undeploy --json")
def test_nothing_is_left_after_serving_and_deploying_in_turn(
    server: Any, run: Run, tmp_path: Path
) -> None:
    limits = global_limits(server)
    score_parquet.to_deployment("of-my-own").apply()
    everything = [
        *(("automation", name) for name in (*TRIGGERS, DEAD)),
        *(("deployment", name) for name in DEPLOYMENTS),
    ]

    def all_served() -> bool:
        return all(server.is_deployed(name) for name in DEPLOYMENTS)

    serve = [str(server.checkout / "deployments" / "serve.py"), "--source", "in", "--output", "out"]
    for _ in range(2):
        with server.running(serve, tmp_path, "the deployments were there", all_served):
            assert run("automate").code == 0
            found = removed(run("undeploy", "--dry-run", "--json"))
            assert sorted(found) == sorted(everything)
            assert all_served()
        assert sorted(removed(run("undeploy", "--json"))) == sorted(everything)
        assert automations(server) == []
        assert global_limits(server) == limits

        pool = ["work-pool", "create", "imdb-classifier", "--type", "process", "--overwrite"]
        server.prefect(server.checkout, *pool)
        file = "deployments/prefect.yaml"
        server.prefect(server.checkout, "--no-prompt", "deploy", "--all", "--prefect-file", file)
        assert run("automate", "--notify", "http://127.0.0.1:9/").code == 0
        added = [*(("automation", name) for name in NOTIFIERS), ("block", BLOCK)]
        found = removed(run("undeploy", "--json"))
        assert sorted(found) == sorted([*everything, *added])
        assert (automations(server), global_limits(server)) == ([], limits)

    assert removed(run("undeploy", "--json")) == []
    assert [found["name"] for found in server.filter("deployments")] == ["of-my-own"]
    outcome = run("undeploy")
    assert (outcome.code, outcome.out.strip()) == (0, "Nothing to remove.")


def test_what_earlier_switches_left_behind_is_removed(server: Any, run: Run) -> None:
    """Automations outlive a deployment that Prefect's own command deleted."""
    server.prefect(server.checkout, "work-pool", "create", "left", "--type", "process")
    for _ in range(2):
        deploy = ["deploy", "--prefect-file", "deployments/prefect.yaml", "--name", "nightly"]
        server.prefect(server.checkout, "--no-prompt", *deploy, "--pool", "left")
        server.delete("deployments")
    assert Counter(automations(server)) == {TRIGGERS[1]: 2}
    assert removed(run("undeploy", "--json")) == [("automation", TRIGGERS[1])] * 2
    assert automations(server) == []


@pytest.mark.parametrize("command", ["automate", "undeploy"])
def test_a_server_that_is_not_there_is_named(server: Any, run: Run, command: str) -> None:
    address = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: address}):
        outcome = run(command)
    assert outcome.code == 69
    assert f"A request to {address} failed" in outcome.err
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        outcome = run(command)
    assert outcome.code == 78
    assert "PREFECT_API_URL is not set." in outcome.err
