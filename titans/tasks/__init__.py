"""Objectives as LightningModules, and what training them needs."""

from titans.tasks.checkpoint import Checkpoint, load_checkpoint
from titans.tasks.classify import Classify
from titans.tasks.dashboard import address, finish, wandb_logger
from titans.tasks.diverged import KeepDivergedBatch
from titans.tasks.forecast import Forecast
from titans.tasks.hopeless import StopWhereHopeless
from titans.tasks.machine import device, settle
from titans.tasks.next_token import NextToken
from titans.tasks.optimization import cosine, decayed_apart
from titans.tasks.processes import LostProcessError, leads, watch
from titans.tasks.progress import ProgressBar
from titans.tasks.sharded import Sharded
from titans.tasks.task import DivergedError, Task
from titans.tasks.trained import Reading, load_reading, load_trained, reading_of
from titans.tasks.trainer import make_trainer

__all__ = [
    "Checkpoint",
    "Classify",
    "DivergedError",
    "Forecast",
    "KeepDivergedBatch",
    "LostProcessError",
    "NextToken",
    "ProgressBar",
    "Reading",
    "Sharded",
    "StopWhereHopeless",
    "Task",
    "address",
    "cosine",
    "decayed_apart",
    "device",
    "finish",
    "leads",
    "load_checkpoint",
    "load_reading",
    "load_trained",
    "make_trainer",
    "reading_of",
    "settle",
    "wandb_logger",
    "watch",
]
