"""Sequence mixers: functions `[batch, time, dim] -> [batch, time, dim]` with an explicit state."""

from titans.mixers.attention import Attention
from titans.mixers.based import Based
from titans.mixers.deltanet import DeltaNet
from titans.mixers.gated_deltanet import GatedDeltaNet
from titans.mixers.gla import GLA
from titans.mixers.hgrn2 import HGRN2
from titans.mixers.hyena import Hyena
from titans.mixers.lmm import LMM
from titans.mixers.mac import MAC
from titans.mixers.mag import MAG
from titans.mixers.mal import MAL
from titans.mixers.mamba import Mamba
from titans.mixers.mamba2 import Mamba2
from titans.mixers.mixer import Mixer
from titans.mixers.retention import Retention
from titans.mixers.ttt import TTT

__all__ = [
    "GLA",
    "HGRN2",
    "LMM",
    "MAC",
    "MAG",
    "MAL",
    "TTT",
    "Attention",
    "Based",
    "DeltaNet",
    "GatedDeltaNet",
    "Hyena",
    "Mamba",
    "Mamba2",
    "Mixer",
    "Retention",
]
