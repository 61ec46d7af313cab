"""The delta rule against the reference implementations of flash-linear-attention."""

import importlib
import inspect
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from titans.ops.delta_rule import chunked, delta_rule, recurrent

BATCH, HEADS, DIM, OUT = 2, 3, 8, 12


def oracle(module: str, function: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("fla")
        return getattr(importlib.import_module(module), function)


def make(time: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    queries, keys = (F.normalize(normal(BATCH, HEADS, time, DIM), dim=-1) for _ in range(2))
    return [
        queries,
        keys,
        normal(BATCH, HEADS, time, OUT),
        normal(BATCH, HEADS, time).sigmoid(),
        -normal(BATCH, HEADS, time).square(),
        normal(BATCH, HEADS, DIM, OUT),
    ]


@pytest.mark.parametrize("rule", [chunked, recurrent])
def test_delta_rule(rule: Any) -> None:
    queries, keys, values, beta, _, state = make(64)
    found = rule(queries, keys, values, beta, None, state)
    scaled = queries * DIM**0.5
    recurrence = oracle("fla.ops.delta_rule.naive", "delta_rule_recurrence")
    torch.testing.assert_close(found, recurrence(scaled, keys, values, beta, state))
    start = torch.zeros_like(state)
    chunkwise = oracle("fla.ops.delta_rule.naive", "delta_rule_chunkwise")
    expected = chunkwise(scaled, keys, values, beta, chunk_size=16)
    torch.testing.assert_close(rule(queries, keys, values, beta, None, start), expected)


@pytest.mark.parametrize("rule", [chunked, recurrent])
@pytest.mark.parametrize("form", ["recurrent", "chunk"])
@pytest.mark.parametrize("time", [1, 50, 128])
def test_gated_delta_rule(time: int, form: str, rule: Any) -> None:
    *sequences, state = make(time)
    naive = oracle("fla.ops.gated_delta_rule.naive", f"naive_{form}_gated_delta_rule")
    names = ("q", "k", "v", "beta", "g")
    by_time = {name: x.transpose(1, 2) for name, x in zip(names, sequences, strict=True)}
    outputs, end = naive(**by_time, scale=1.0, initial_state=state, output_final_state=True)
    torch.testing.assert_close(rule(*sequences, state), (outputs.transpose(1, 2), end))


@pytest.mark.parametrize("gated", [True, False])
def test_the_kernels_are_called_as_they_are_declared(
    gated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "gated_delta_rule" if gated else "delta_rule"
    declared = inspect.signature(oracle(f"fla.ops.{package}", f"chunk_{package}"))
    naive = oracle("fla.ops.gated_delta_rule.naive", "naive_recurrent_gated_delta_rule")

    def kernel(**arguments: Any) -> tuple[Tensor, Tensor]:
        declared.bind(**arguments)
        arguments.setdefault("g", torch.zeros_like(arguments["beta"]))
        return naive(**arguments)

    monkeypatch.setattr(f"fla.ops.{package}.chunk_{package}", kernel)
    monkeypatch.setattr("titans.ops.delta_rule.wanted", lambda x: True)
    queries, keys, values, beta, log_decay, state = make(20)
    values = values.bfloat16()
    # What the kernel gets is rounded.
    rounded = [x.bfloat16().float() for x in (queries, keys)]
    rest = beta, log_decay if gated else None, state
    outputs, end = delta_rule(queries, keys, values, *rest)
    expected = chunked(*rounded, values.float(), *rest)
    torch.testing.assert_close(end, expected[1])
    torch.testing.assert_close(outputs.float(), expected[0])
