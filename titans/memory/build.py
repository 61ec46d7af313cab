"""Builds the kernel in `cpu/` where it is first used, and keeps it for the next time."""

import hashlib
import logging
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

log = logging.getLogger(__name__)
SOURCES = Path(__file__).parent / "cpu"
FLAGS = {
    "AVX2": ["-mavx2", "-mfma"],
    "AVX512": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma",
               "-mprefer-vector-width=512"],
}  # fmt: skip


@cache
def module() -> Any:
    """The kernel; None where it cannot be built, which it says once."""
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in FLAGS:
        log.warning("hardware.compile: the kernel wants AVX2, so PyTorch compiles instead")
        return None
    macros = [f"-DCPU_CAPABILITY={capability}", f"-DCPU_CAPABILITY_{capability}"]
    try:
        return _built(["-O3", "-fopenmp", *FLAGS[capability], *macros])
    except (RuntimeError, OSError, ImportError) as error:
        log.warning("hardware.compile: no kernel, so PyTorch compiles instead: %s", error)
        return None


def _built(flags: list[str]) -> Any:
    from torch.utils.cpp_extension import load

    folder = _folder(flags)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        # Left by a process that was killed while it built; PyTorch would wait for it.
        (folder / "lock").unlink(missing_ok=True)
        if not any(folder.glob("*.so")):
            log.info("hardware.compile: building a kernel, once, which takes half a minute")
        source = str(SOURCES / "module.cpp")
        return load("titans_memory", [source], extra_cflags=flags, build_directory=str(folder))


def _folder(flags: list[str]) -> Path:
    """Where the kernel of these sources is, so that another version's is left alone."""
    files = [path.read_bytes() for path in sorted(SOURCES.iterdir())]
    versions = [torch.__version__, sys.version, str(SOURCES), *flags]
    digest = hashlib.sha256(b"\0".join([*files, *(x.encode() for x in versions)])).hexdigest()
    cache_folder = os.environ.get("TORCH_EXTENSIONS_DIR", Path.home() / ".cache/torch_extensions")
    return Path(cache_folder) / f"titans_memory_{digest[:16]}"
