"""Sequence mixers: functions `[batch, time, dim] -> [batch, time, dim]` with an explicit state."""

from titans.mixers.attention import Attention
from titans.mixers.based import Based
from titans.mixers.hyena import Hyena
from titans.mixers.lmm import LMM
from titans.mixers.mac import MAC
from titans.mixers.mag import MAG
from titans.mixers.mal import MAL
from titans.mixers.mamba import Mamba
from titans.mixers.mixer import Mixer

__all__ = ["LMM", "MAC", "MAG", "MAL", "Attention", "Based", "Hyena", "Mamba", "Mixer"]
