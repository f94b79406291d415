"""No parameter of a flow without a test that fails when it is ignored."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from tests.flows.conftest import CHECKOUT
from tests.options import covered

ENTRYPOINTS = ("score.py:score_parquet", "train.py:train_imdb", "evaluate.py:evaluate_imdb")


def test_every_parameter_is_covered() -> None:
    flows: list[Flow[..., Any]] = [
        load_flow_from_entrypoint(str(CHECKOUT / "flows" / name)) for name in ENTRYPOINTS
    ]
    parameters = {
        f"{flow.name}:{name}"
        for flow in flows
        for name, parameter in signature(flow.fn).parameters.items()
        if parameter.default is not Parameter.empty
    }
    assert {name for name in covered() if ":" in name} == parameters
