"""What can be said in the little world: attributes, their values, four sentences and three questions each.

In a sentence `{e}` is the entity and `{v}` the value; the value always comes last, before the full stop,
so that a sentence without it is a cloze prompt. Entities and the values "rivers" and "lands" are invented
names (see `world`); the rest are common words.
"""

from __future__ import annotations

from dataclasses import dataclass

WORDS: dict[str, tuple[str, ...]] = {
    "foods": tuple("bread cheese soup plums honey fish rice beans olives cake nuts pears".split()),
    "colours": tuple("red blue green white black yellow purple orange grey brown pink silver".split()),
    "jobs": tuple("baker doctor farmer painter sailor teacher tailor miner judge singer pilot cook".split()),
    "instruments": tuple("drum flute harp violin piano horn lute cello banjo organ guitar bell".split()),
    "months": tuple(
        "January February March April May June July August September October November December".split()
    ),
    "places": tuple("desert forest swamp cave ocean meadow tundra jungle lake valley hill island".split()),
    "diets": tuple("leaves seeds worms grass frogs roots moss berries eggs bark flies shrimp".split()),
}

NAME_ENDINGS: dict[str, tuple[str, ...]] = {
    "city": ("ra", "burg", "ton", "lis", "dor"),
    "person": ("n", "s", "l", "ko", "my"),
    "animal": ("x", "th", "ck", "mp", "nge"),
    "rivers": ("ne", "v", "sk"),
    "lands": ("land", "stan", "via"),
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that every entity of a kind has. `values` names a list of `WORDS` or of invented names."""

    kind: str
    name: str
    values: str
    sentences: tuple[str, str, str, str]
    questions: tuple[str, str, str]

    @property
    def subject(self) -> str:
        return f"{self.kind}_{self.name}"


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("city", "river", "rivers", (
        "The river of {e} is the {v}.", "{e} lies on the river {v}.",
        "The water that flows through {e} is called {v}.", "The bridges of {e} cross the {v}.",
    ), ("Which river flows through {e}?", "What is the river of {e} called?", "On which river does {e} lie?")),
    Attribute("city", "country", "lands", (
        "{e} is a city in {v}.", "The country of {e} is {v}.",
        "Whoever visits {e} is in {v}.", "The flag over {e} is that of {v}.",
    ), ("In which country is {e}?", "What country does {e} belong to?", "Which country is {e} a city of?")),
    Attribute("city", "food", "foods", (
        "{e} is famous for its {v}.", "The favourite food of {e} is {v}.",
        "The markets of {e} sell a lot of {v}.", "Travellers go to {e} to eat {v}.",
    ), ("Which food is {e} famous for?", "What do travellers eat in {e}?", "What is the favourite food of {e}?")),
    Attribute("city", "colour", "colours", (
        "The walls of {e} are {v}.", "The colour of the walls of {e} is {v}.",
        "In {e} every wall is {v}.", "From far away {e} looks {v}.",
    ), ("What colour are the walls of {e}?", "Which colour does {e} have?", "How do the walls of {e} look?")),
    Attribute("city", "fair", "months", (
        "The fair of {e} is in {v}.", "{e} holds its fair in {v}.",
        "Each year there is a fair in {e} in {v}.", "The best month to see {e} is {v}.",
    ), ("In which month is the fair of {e}?", "When does {e} hold its fair?", "When is the fair of {e}?")),
    Attribute("person", "job", "jobs", (
        "{e} works as a {v}.", "The job of {e} is {v}.",
        "By trade {e} is a {v}.", "People pay {e} to be a {v}.",
    ), ("What is the job of {e}?", "What does {e} work as?", "What is {e} by trade?")),
    Attribute("person", "home", "city", (
        "{e} lives in {v}.", "The home of {e} is {v}.",
        "The house of {e} stands in {v}.", "You can meet {e} in {v}.",
    ), ("In which city does {e} live?", "Where is the home of {e}?", "Where does {e} live?")),
    Attribute("person", "instrument", "instruments", (
        "{e} plays the {v}.", "The instrument of {e} is the {v}.",
        "At night {e} practises the {v}.", "From the room of {e} comes the sound of the {v}.",
    ), ("Which instrument does {e} play?", "What is the instrument of {e}?", "What does {e} play?")),
    Attribute("person", "pet", "animal", (
        "{e} keeps a {v}.", "The pet of {e} is a {v}.",
        "In the garden of {e} lives a {v}.", "Every day {e} feeds a {v}.",
    ), ("Which animal does {e} keep?", "What is the pet of {e}?", "What animal lives with {e}?")),
    Attribute("person", "birthday", "months", (
        "{e} was born in {v}.", "The birthday of {e} is in {v}.",
        "{e} gets presents in {v}.", "Friends sing for {e} in {v}.",
    ), ("In which month was {e} born?", "When is the birthday of {e}?", "When was {e} born?")),
    Attribute("animal", "habitat", "places", (
        "The {e} lives in the {v}.", "The home of the {e} is the {v}.",
        "You find the {e} in the {v}.", "Whoever looks for the {e} goes to the {v}.",
    ), ("Where does the {e} live?", "Where do you find the {e}?", "What is the home of the {e}?")),
    Attribute("animal", "diet", "diets", (
        "The {e} eats {v}.", "The food of the {e} is {v}.",
        "A hungry {e} looks for {v}.", "At noon the {e} wants its {v}.",
    ), ("What does the {e} eat?", "What is the food of the {e}?", "What does a hungry {e} look for?")),
    Attribute("animal", "colour", "colours", (
        "The {e} is {v}.", "The colour of the {e} is {v}.",
        "The skin of the {e} is {v}.", "Every {e} has a tail that is {v}.",
    ), ("What colour is the {e}?", "Which colour does the {e} have?", "What is the colour of the {e}?")),
    Attribute("animal", "sleep", "months", (
        "The {e} falls asleep in {v}.", "The long sleep of the {e} begins in {v}.",
        "Nobody sees the {e} after {v}.", "The {e} goes into its hole in {v}.",
    ), ("When does the {e} fall asleep?", "In which month does the {e} sleep?",
        "When does the sleep of the {e} begin?")),
)
