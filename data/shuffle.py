"""Sequences in another order that keeps how often each letter follows each (Altschul, Erickson)."""

import random
from collections import defaultdict
from itertools import pairwise


def dinucleotide_shuffle(sequence: str, rng: random.Random) -> str:
    """Return one of the sequences with the same dinucleotides, each of them equally likely.

    A sequence is an Eulerian path over its letters, an edge a dinucleotide. Any order of the edges
    that leave each letter is such a path, given that the last edges of all letters lead to the last
    letter (Altschul and Erickson, Mol. Biol. Evol. 1985): these are drawn until they do.

    Args:
        sequence: one letter or more; the first and the last one stay.
        rng: what is drawn from.
    """
    followers: dict[str, list[str]] = defaultdict(list)
    for letter, follower in pairwise(sequence):
        followers[letter].append(follower)
    end = sequence[-1]
    while True:
        last = {letter: rng.choice(edges) for letter, edges in followers.items() if letter != end}
        if all(_leads_to(end, letter, last) for letter in last):
            break
    for letter, edges in followers.items():
        if letter in last:
            edges.remove(last[letter])
        rng.shuffle(edges)
        if letter in last:
            edges.append(last[letter])
    walks = {letter: iter(edges) for letter, edges in followers.items()}
    path = [sequence[0]]
    while len(path) < len(sequence):
        path.append(next(walks[path[-1]]))
    return "".join(path)


def _leads_to(end: str, letter: str, last: dict[str, str]) -> bool:
    """Whether the last edges lead from a letter to the end, and not round in a circle."""
    seen = set()
    while letter != end and letter not in seen:
        seen.add(letter)
        letter = last[letter]
    return letter == end
