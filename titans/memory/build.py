"""Builds the kernel in `cpu/` where it is first used, and keeps it for the next time."""

import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

log = logging.getLogger(__name__)
NAME = "titans_memory"
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
        return _loaded(_built(["-O3", "-fopenmp", *FLAGS[capability], *macros]))
    except (OSError, ImportError, RuntimeError, subprocess.CalledProcessError) as error:
        lines = (getattr(error, "stderr", None) or str(error)).splitlines()
        reason = next((line for line in lines if "error" in line.lower()), "".join(lines[:1]))
        log.warning("hardware.compile: no kernel, so PyTorch compiles instead: %s", reason)
        return None


def _built(flags: list[str]) -> Path:
    """The library's file, made where it is not there yet; another version's is left alone."""
    sources = [path.read_bytes() for path in sorted((*SOURCES.iterdir(), Path(__file__)))]
    versions = [part.encode() for part in (torch.__version__, sys.version, *flags)]
    digest = hashlib.sha256(b"\0".join([*sources, *versions])).hexdigest()
    chosen = os.environ.get("TORCH_EXTENSIONS_DIR")
    folder = Path(chosen) if chosen else Path.home() / ".cache/torch_extensions"
    library = folder / f"{NAME}-{digest[:16]}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(library.with_suffix(".lock")):
        if not library.exists():
            log.info("hardware.compile: building a kernel, once, which takes half a minute")
            # A build that is killed leaves no library behind.
            part = library.with_suffix(f".{os.getpid()}")
            subprocess.run(_command(flags, part), check=True, capture_output=True, text=True)
            part.replace(library)
    return library


def _command(flags: list[str], library: Path) -> list[str]:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch.utils.cpp_extension import include_paths, library_paths

    headers = [*include_paths(), sysconfig.get_path("include")]
    return [
        *(get_cpp_compiler(), "-std=c++20", "-shared", "-fPIC", *flags),
        *(f"-DTORCH_EXTENSION_NAME={NAME}", "-DTORCH_API_INCLUDE_EXTENSION_H"),
        *(part for folder in headers for part in ("-isystem", folder)),
        *(str(SOURCES / "module.cpp"), "-o", str(library)),
        *(f"-L{folder}" for folder in library_paths()),
        *("-lc10", "-ltorch_cpu", "-ltorch_python"),
    ]


def _loaded(library: Path) -> Any:
    spec = importlib.util.spec_from_file_location(NAME, library)
    assert spec is not None
    assert spec.loader is not None
    kernel = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernel)
    return kernel
