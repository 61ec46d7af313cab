"""Writes the sample series again, byte by byte: `python -m data.series_sample`."""

import math
import random
from datetime import datetime, timedelta

from data.series import SAMPLE, SOURCES
from data.store import write_atomically


def sample() -> str:
    """Return a CSV in the format of the benchmark series: days and weeks, drift and noise."""
    rng, source = random.Random(0), SOURCES["sample"]
    start = datetime.fromisoformat(source.first)
    lines = [",".join(("date", *source.columns))]
    level = 0.0
    for hour in range(source.rows):
        day, week = (2 * math.pi * hour / period for period in (24, 168))
        level = 0.98 * level + rng.gauss(0, 0.2)
        load = 10 + 3 * math.sin(day) + math.sin(week) + level + rng.gauss(0, 0.3)
        wind = 5 + 2 * math.cos(week) - level + rng.gauss(0, 0.5)
        heat = 20 + 4 * math.sin(day - 1) + 0.5 * load + rng.gauss(0, 0.3)
        numbers = ",".join(f"{value:.3f}" for value in (load, wind, heat))
        lines.append(f"{start + timedelta(hours=hour)},{numbers}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_atomically(SAMPLE, sample().encode("ascii"))
