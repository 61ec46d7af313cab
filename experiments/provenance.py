"""Where a result comes from: the code, the packages and the machine behind a run."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("torch", "lightning", "hydra-core", "omegaconf", "wandb"),
    *("datasets", "lm-eval", "transformers", "tokenizers", "numpy", "titans-pytorch"),
    *("flash-linear-attention", "triton"),
)
# What the trainer calls it, where that says little.
_PRECISION = {"32-true": "float32"}
# Each run leaves a record in the tree, and a report rewrites pages: neither changes a run.
_HARMLESS = tuple(
    f":(exclude){it}" for it in ("experiments/records", "experiments/searches", "*.md")
)


def commit(folder: Path | str = Path(__file__).parent) -> str:
    """Name the code of a checkout.

    Returns:
        The git hash, with `+dirty` where tracked or new files differ from it; empty outside git.
    """
    head = _git(folder, "rev-parse", "--verify", "HEAD")
    if not head:
        return ""
    root = _git(folder, "rev-parse", "--show-toplevel")
    changed = _git(root, "status", "--porcelain", "--", ".", *_HARMLESS)
    return f"{head}+dirty" if changed else head


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine(
    device: str = "cpu",
    threads: int = 0,
    precision: str = "",
    processes: int = 1,
    compiled: bool = False,
) -> dict[str, str | int | float]:
    """Facts about this machine that say nothing of who owns it.

    Args:
        device: Name of the device that computed, as its driver calls it.
        threads: How many of its cores the process used.
        precision: What it computed in, as the trainer calls it.
        processes: How many trained together.
        compiled: Whether the memory was.

    Returns:
        `system`, `processor`, `cores` (logical), `memory` (GB, where known), and what was given.
    """
    facts: dict[str, str | int | float] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "device": device,
    }
    facts |= {"threads": threads} if threads else {}
    facts |= {"precision": precision} if precision else {}
    facts |= {"processes": processes} if processes > 1 else {}
    facts |= {"compiled": compiled} if compiled else {}
    memory = _memory()
    return facts | ({"memory": memory} if memory else {})


def machine_name(facts: Mapping[str, object], packages: Mapping[str, str]) -> str:
    """One line on what a speed was measured with: machine, threads, precision, torch, compiler."""
    parts = [
        facts.get("device") if facts.get("device") != "cpu" else "",
        facts.get("processor"),
        *(_counted(facts[unit], unit) for unit in ("cores", "threads") if unit in facts),
        _PRECISION.get(str(facts.get("precision")), facts.get("precision")),
        f"torch {packages['torch']}" if "torch" in packages else "",
        "compiled" if facts.get("compiled") else "",
    ]
    return ", ".join(str(part) for part in parts if part)


def _counted(number: object, unit: str) -> str:
    return f"{number} {unit[:-1] if number == 1 else unit}"


def _git(folder: Path | str, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _memory() -> float:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return 0.0
