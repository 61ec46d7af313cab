"""One thread a process, Ctrl-C as in a terminal, and all shapes of `titans` checked at calls."""

import signal
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from omegaconf import DictConfig

import experiments.sweep  # noqa: F401  What the configuration resolves by.
from tests.fault_table import lines
from tests.needles import Run, run

ROOT = Path(__file__).resolve().parent.parent

torch.set_num_threads(1)
# What a shell starts in the background ignores Ctrl-C, and so would the programs tested here.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The same examples in every run, on however slow a machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")
install_import_hook("titans", "beartype.beartype")


@pytest.fixture(scope="session")
def compose() -> Callable[..., DictConfig]:
    """The configuration of a run, given its overrides."""

    def composed(*overrides: str) -> DictConfig:
        with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return hydra.compose("run", list(overrides))

    return composed


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One undisturbed run."""
    done = run(tmp_path_factory.mktemp("trained"), "model=mac", "seed=3")
    assert done.code == 0, done.output + done.errors
    return done


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="End with a table of the faults caused.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a report carries from one process to another are the properties of a test."""
    for item in items:
        item.user_properties += [("fault", marker.args) for marker in item.iter_markers("fault")]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    cases = [
        (*value, ended)
        for ended in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.getreports(ended)
        # A module skipped while it is collected is reported without properties.
        if isinstance(report, pytest.TestReport)
        for name, value in report.user_properties
        if name == "fault"
    ]
    if config.getoption("--faults") and cases:
        terminalreporter.section("faults")
        for line in lines(cases):
            terminalreporter.write_line(line)
