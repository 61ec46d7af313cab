"""The five sets of GenomicsBenchmarks, as published, and what stands in for them."""

from dataclasses import dataclass
from typing import Final

PARTS: Final = ("train", "test")


@dataclass(frozen=True)
class Source:
    """What the sequences of a set must be.

    Attributes:
        classes: class -> how many sequences the training and the test part have of it; the number
            of a class is its place here.
        longest: nucleotides of the longest sequence.
        reordered: whether copies number the classes in another order; the counts, which then all
            differ, tell in which.
        revision: of the hub's repository; its branch `main` where we do not know a commit.
        stand_in: whether it stands for the benchmark where that cannot be had.
    """

    classes: dict[str, tuple[int, int]]
    longest: int
    reordered: bool = False
    revision: str = "main"
    stand_in: bool = False


def _two(negative: tuple[int, int], positive: tuple[int, int]) -> dict[str, tuple[int, int]]:
    return {"negative": negative, "positive": positive}


# Counts and lengths are those of the benchmark's own intervals.
SOURCES: Final = {
    "human_enhancers_cohn": Source(_two((10_422, 3_474), (10_421, 3_474)), longest=500),
    "human_enhancers_ensembl": Source(_two((61_936, 15_485), (61_936, 15_485)), longest=573),
    "human_ensembl_regulatory": Source(
        {"enhancer": (85_512, 21_378), "ocr": (69_902, 17_476), "promoter": (75_934, 18_859)},
        longest=802,
        # A copy is known in which they are promoter, enhancer, ocr.
        reordered=True,
    ),
    "human_nontata_promoters": Source(
        _two((12_355, 4_119), (14_742, 4_915)),
        longest=251,
        revision="e0003669df0a180c8570ebe091ed91f20fa080ec",
    ),
    "human_ocr_ensembl": Source(_two((69_902, 17_476), (69_902, 17_476)), longest=593),
    # The counts are what is left of the package's file; see `data.promoters`.
    "fly_promoters": Source(
        {"shuffled": (3_507, 2_678), "promoter": (3_507, 2_678)}, longest=200, stand_in=True
    ),
    "sample": Source({"without": (200, 100), "with": (200, 100)}, longest=64, stand_in=True),
}


def repository(dataset: str) -> str:
    """Return the hub's name of a set."""
    return f"katarinagresova/Genomic_Benchmarks_{dataset}"
