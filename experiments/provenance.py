"""Where a result comes from: the code, the packages and the machine behind a run."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("torch", "lightning", "hydra-core", "omegaconf", "wandb"),
    *("datasets", "lm-eval", "transformers", "tokenizers", "numpy"),
)
# Each run leaves a record in the tree, and a report rewrites pages: neither changes a run.
_HARMLESS = (":(exclude)experiments/records", ":(exclude)*.md")


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


def machine(device: str = "cpu") -> dict[str, str | int | float]:
    """Facts about this machine that say nothing of who owns it.

    Args:
        device: Name of the device that computed, as its driver calls it.

    Returns:
        `system`, `processor`, `cores` (logical), `memory` (GB, where known) and `device`.
    """
    facts: dict[str, str | int | float] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "device": device,
    }
    memory = _memory()
    return facts | ({"memory": memory} if memory else {})


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
