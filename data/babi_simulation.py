"""Stories of bAbI's form, told of a small world of our own: people, places and objects.

Only what the told facts decide is asked; where people and objects are at first, is not told.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from data.babi import GIVERS, OBJECTS, PLACES, Story

WALKERS = ("Daniel", "John", "Mary", "Sandra")
MOVES = ("journeyed to", "moved to", "travelled to", "went back to", "went to")
TAKES = ("got", "grabbed", "picked up", "took")
DROPS = ("discarded", "dropped", "left", "put down")
GIVES = ("gave", "handed", "passed")
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
QUESTIONS = 5
# How often someone takes what lies there, and lets go of what they hold.
TAKING, LETTING_GO = 0.6, 0.5
# How often "there" is said of what could be told without it.
THERE = 0.2


class Event(NamedTuple):
    """What happens: someone moves `to` a place; takes, drops or gives `what` (`to` someone)."""

    verb: str
    who: str
    what: str = ""
    to: str = ""


class Told:
    """What is known from the events that were told.

    Attributes:
        places: person -> place, once it is known.
        holders: object -> person.
        trails: object -> the places it is known to have been at, one after the other.
        gifts: `give` events.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.places: dict[str, str] = {}
        self.holders: dict[str, str] = {}
        self.trails: dict[str, list[str]] = {what: [] for what in OBJECTS}
        self.gifts: list[Event] = []
        for event in events:
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Takes note of what happens next."""
        if event.verb == "move":
            self.places[event.who] = event.to
        elif event.verb == "take":
            self.holders[event.what] = event.who
        elif event.verb == "drop":
            self.holders.pop(event.what, None)
        else:
            self.gifts.append(event)
            self.holders[event.what] = event.to
        for what, who in self.holders.items():
            place, trail = self.places.get(who), self.trails[what]
            if place and trail[-1:] != [place]:
                trail.append(place)


def where(told: Told) -> dict[str, str]:
    """Question -> answer, of qa1."""
    return {f"Where is {who}?": place for who, place in told.places.items()}


def carried(told: Told) -> dict[str, str]:
    """Question -> answer, of qa2."""
    return {f"Where is the {what}?": trail[-1] for what, trail in told.trails.items() if trail}


def before(told: Told) -> dict[str, str]:
    """Question -> answer, of qa3; of a place that an object was at twice the last time counts."""
    return {
        f"Where was the {what} before the {place}?": earlier
        for what, trail in told.trails.items()
        for earlier, place in pairwise(trail)
    }


def given(told: Told) -> dict[str, str]:
    """Question -> answer, of qa5; the last gift of which it is true counts."""
    answers: dict[str, str] = {}
    for _, who, what, to in told.gifts:
        answers |= {
            f"What did {who} give to {to}?": what,
            f"Who gave the {what} to {to}?": who,
            f"Who did {who} give the {what} to?": to,
            f"Who gave the {what}?": who,
            f"Who received the {what}?": to,
        }
    return answers


class World:
    """Where everyone and everything is."""

    def __init__(self, people: tuple[str, ...], rng: random.Random, gives: bool) -> None:
        self.people, self.rng, self.gives = people, rng, gives
        self.at = {name: rng.choice(PLACES) for name in (*people, *OBJECTS)}
        self.holders: dict[str, str] = {}

    def event(self, objects: bool) -> Event:
        """Lets something happen."""
        who = self.rng.choice(self.people)
        lying = [o for o in OBJECTS if o not in self.holders and self.at[o] == self.at[who]]
        held = [what for what, holder in self.holders.items() if holder == who]
        near = [p for p in self.people if p != who and self.at[p] == self.at[who]]
        if objects and lying and self.rng.random() < TAKING:
            return self._hold(Event("take", who, self.rng.choice(lying)), who)
        if self.gives and held and near and self.rng.random() < TAKING:
            to = self.rng.choice(near)
            return self._hold(Event("give", who, self.rng.choice(held), to), to)
        if held and self.rng.random() < LETTING_GO:
            what = self.rng.choice(held)
            del self.holders[what]
            self.at[what] = self.at[who]
            return Event("drop", who, what)
        self.at[who] = self.rng.choice([place for place in PLACES if place != self.at[who]])
        return Event("move", who, to=self.at[who])

    def _hold(self, event: Event, holder: str) -> Event:
        self.holders[event.what] = holder
        return event


def sentence(event: Event, rng: random.Random, there: float) -> str:
    """Tells an event; `there` is how often what is taken is taken "there"."""
    verb, who, what, to = event
    if verb == "move":
        return f"{who} {rng.choice(MOVES)} the {to}."
    if verb == "give":
        return f"{who} {rng.choice(GIVES)} the {what} to {to}."
    words, often = (TAKES, there) if verb == "take" else (DROPS, THERE)
    return f"{who} {rng.choice(words)} the {what}{' there' * (rng.random() < often)}."


def tale(
    people: tuple[str, ...],
    questions: Callable[[Told], dict[str, str]],
    rng: random.Random,
    *,
    between: int = 2,
    there: float = 1.0,
) -> Iterator[Story]:
    """Tells facts, and asks after `between` of them something that they decide."""
    world, told = World(people, rng, gives=questions is given), Told()
    facts: list[str] = []
    asked = 0
    while asked < QUESTIONS:
        for _ in range(between):
            event = world.event(objects=questions is not where)
            told.tell(event)
            facts.append(sentence(event, rng, there))
        if known := questions(told):
            question = rng.choice(sorted(known))
            yield Story(tuple(facts), question, known[question])
            asked += 1


def rooms(rng: random.Random) -> Iterator[Story]:
    """Tells of three places in a row, and asks for a neighbour (qa4)."""
    row, way = rng.sample(PLACES, 3), rng.choice(sorted(OPPOSITE))
    # Each place lies in this direction of the next one.
    pairs = [(first, way, second) for first, second in pairwise(row)]
    rng.shuffle(pairs)
    turned = [rng.choice((pair, (pair[2], OPPOSITE[way], pair[0]))) for pair in pairs]
    first, way, second = rng.choice(turned)
    if rng.random() < 0.5:
        first, way, second = second, OPPOSITE[way], first
    question, answer = rng.choice(
        ((f"What is {way} of the {second}?", first), (f"What is the {first} {way} of?", second))
    )
    facts = tuple(f"The {one} is {way} of the {other}." for one, way, other in turned)
    yield Story(facts, question, answer)


TALES: dict[str, Callable[[random.Random], Iterator[Story]]] = {
    "qa1": lambda rng: tale(WALKERS, where, rng),
    "qa2": lambda rng: tale(WALKERS, carried, rng),
    "qa3": lambda rng: tale(WALKERS, before, rng, between=5, there=THERE),
    "qa4": rooms,
    "qa5": lambda rng: tale(GIVERS, given, rng),
}


def simulate(task: str, part: str, questions: int) -> list[Story]:
    """Return so many questions of a part, always the same ones."""

    def every() -> Iterator[Story]:
        number = 0
        while True:
            yield from TALES[task](random.Random(f"{task}/{part}/{number}"))
            number += 1

    return list(islice(every(), questions))
