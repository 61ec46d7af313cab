"""One small JSON file a run: the truth that every table is computed from."""

import hashlib
import json
import math
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, get_origin

FINISHED, FAILED = "finished", "failed"
# In a run's folder, where its record is.
NOTE = "record.txt"
# Records that were made before there were these fields keep their digests.
LATER = ("configuration", "wandb")


class RecordError(ValueError):
    """A file that is not an intact record; the message names the file and the reason."""


@dataclass(frozen=True)
class Record:
    """What one run was and what it scored.

    Scores and counts that are not finite become `None`, which JSON writes as `null`.

    Attributes:
        choices: Config group to option, e.g. `{"model": "mac", "task": "niah"}`.
        settings: Dotted override to value where it selects a cell of a table.
        overrides: The command line as typed.
        configuration: Part of the run to the digest of its resolved settings, whatever was typed,
            and of a checkpoint that was scored those of its training; empty in older records.
        seed: The seed of the run.
        scores: `"<dataset>/<metric>"` to number; accuracies in percent.
        counts: Flat numbers: `parameters`, `tokens`, `steps`, `prompts/<score>`.
        commit: Git hash, with `+dirty` where the tree was changed; empty outside git.
        versions: Package to version.
        machine: Facts about the hardware, without a host name.
        started: ISO 8601 time in UTC.
        seconds: Wall time of the run, of all its starts together as far as checkpoints know.
        status: `finished` or `failed`; a failed run keeps the scores it had.
        error: Why the run failed; empty when it finished.
        wandb: The run on Weights & Biases, as `project/id`; empty where there is none.
    """

    choices: dict[str, str]
    seed: int
    started: str
    settings: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    scores: dict[str, float | None] = field(default_factory=dict)
    counts: dict[str, float | None] = field(default_factory=dict)
    commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    status: str = FINISHED
    error: str = ""
    wandb: str = ""
    configuration: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Replace what strict JSON cannot hold.

        Raises:
            RecordError: If `status` or `started` has no meaning.
        """
        object.__setattr__(self, "scores", {k: _finite(v) for k, v in self.scores.items()})
        object.__setattr__(self, "counts", {k: _finite(v) for k, v in self.counts.items()})
        if self.status not in (FINISHED, FAILED):
            raise RecordError(f"status is {self.status!r}, not {FINISHED!r} or {FAILED!r}")
        _ = self.when

    @property
    def trained(self) -> dict[str, str]:
        """Its configuration but for how it was scored; empty where nobody knows."""
        return {part: it for part, it in self.configuration.items() if part != "evaluations"}

    @property
    def core_hours(self) -> float:
        """Wall time times cores that computed; times devices, where it ran on others."""
        threads = self._count("threads") or self._count("cores") or 1
        each = threads if self.machine.get("device", "cpu") == "cpu" else 1
        return self.seconds / 3600 * each * (self._count("processes") or 1)

    def _count(self, of: str) -> int:
        """A fact of the machine where it is a whole number, 0 where nobody knows."""
        value = self.machine.get(of)
        return value if isinstance(value, int) else 0

    @cached_property
    def when(self) -> datetime:
        """The start as a time in UTC.

        Raises:
            RecordError: If `started` is not ISO 8601.
        """
        try:
            time = datetime.fromisoformat(self.started)
        except ValueError as error:
            raise RecordError(f"started is {self.started!r}, not an ISO 8601 time") from error
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the record's canonical JSON."""
        return _digest(self._content())

    def _content(self) -> dict[str, Any]:
        content = asdict(self)
        return {name: value for name, value in content.items() if value or name not in LATER}

    @property
    def file_name(self) -> str:
        """Time, model, task, scale, seed and the head of the digest: no two runs share it."""
        groups = [str(self.choices.get(group, "none")) for group in ("model", "task", "scale")]
        parts = [f"{self.when:%Y%m%dT%H%M%SZ}", *groups, f"seed{self.seed}", self.digest[:12]]
        return "-".join(re.sub(r"[^\w.+]", "_", part) for part in parts) + ".json"

    def write(self, folder: Path | str, previous: Path | None = None) -> Path:
        """Write the record so that no reader ever sees half of it.

        Args:
            folder: Where records live; created when missing.
            previous: The file that an earlier `write` of this same run returned. It is removed
                once the new one is in place, so a crash leaves at least one of the two.

        Returns:
            The path of the new file.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        content = self._content() | {"digest": self.digest}
        _write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
        if previous is not None and previous != path:
            previous.unlink(missing_ok=True)
        return path

    @classmethod
    def read(cls, path: Path | str) -> "Record":
        """Read one record.

        Raises:
            RecordError: If the file is truncated, foreign, broken or was edited by hand.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            content = json.loads(text, parse_constant=_refuse_constant)
            return _parse(content)
        except (OSError, ValueError, RecursionError) as error:
            raise RecordError(f"{path}: {error}") from error


def read_all(folder: Path | str) -> tuple[list[Record], list[str]]:
    """Read every `*.json` of a folder, one record a run.

    Returns:
        The intact records, oldest first, and one warning for each file that was skipped.
    """
    records: dict[str, Record] = {}
    warnings = []
    seen: set[Path] = set()
    # A run replaces its record: what came while the others were read is read too.
    while paths := sorted(set(Path(folder).glob("*.json")) - seen):
        seen.update(paths)
        for path in paths:
            try:
                record = Record.read(path)
                records[record.digest] = record
            except RecordError as error:
                if path.exists():
                    warnings.append(f"skipped {error}")
    return sorted(records.values(), key=lambda record: record.when), warnings


def noted(folder: Path) -> Record | None:
    """The record of the last run in a folder, finished or not; None where there is none to read."""
    try:
        return Record.read(_noted_path(folder))
    except (OSError, RecordError):
        return None


def unfinished(folder: Path) -> Path | None:
    """Where the record of the last run in a folder is; None where there is none, or it finished."""
    last = noted(folder)
    return _noted_path(folder) if last is not None and last.status == FAILED else None


def _noted_path(folder: Path) -> Path:
    return Path((folder / NOTE).read_text(encoding="utf-8"))


def _finite(value: Any) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(value)


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _write_atomically(path: Path, text: str) -> None:
    # A temporary file elsewhere could be on another disk, where a rename is a copy.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner reads; records are for everyone.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError(f"{name} is not strict JSON")


def _parse(content: Any) -> Record:
    known: dict[str, Any] = {
        item.name: get_origin(item.type) or item.type for item in fields(Record)
    }
    if not isinstance(content, dict) or not {"digest", *known} == {*LATER, *content}:
        raise RecordError("not a record: its fields are not those of one")
    digest = content.pop("digest")
    for name, value in content.items():
        kind = known[name]
        if not isinstance(value, (int, float) if kind is float else kind):
            raise RecordError(f"{name} is a {type(value).__name__}")
    for name, number in (content["scores"] | content["counts"]).items():
        if not isinstance(number, int | float | None):
            raise RecordError(f"{name} is {number!r}, not a number")
    texts = [*content["choices"].values(), *content.get("configuration", {}).values()]
    if not all(isinstance(text, str) for text in (*texts, *content["overrides"])):
        raise RecordError("a choice, a digest or an override is no text")
    if digest != _digest(content):
        raise RecordError("its digest does not match: the file was changed after it was written")
    return Record(**content)
