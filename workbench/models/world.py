"""The little world: 68 invented entities and 320 facts about them, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from workbench.models.draw import Draw, digest
from workbench.models.lore import ATTRIBUTES, NAME_ENDINGS, WORDS, Attribute

WORLD_SEED = 7
ENTITY_COUNT = {"city": 24, "person": 24, "animal": 20}
VALUE_COUNT = 12
_CONSONANTS = tuple("b br d dr f g gr h j k kl l m n p pr r s st t tr v w z".split())
_VOWELS = tuple("a e i o u ae ia".split())


@dataclass(frozen=True, slots=True)
class Fact:
    """One entity's value of one attribute. One sentence and one question are never trained on."""

    entity: str
    attribute: Attribute
    value: str
    values: tuple[str, ...]

    @property
    def held_out_sentence(self) -> int:
        return digest("sentence", self.entity, self.attribute.name) % len(self.attribute.sentences)

    @property
    def held_out_question(self) -> int:
        return digest("question", self.entity, self.attribute.name) % len(self.attribute.questions)

    def sentence(self, phrasing: int) -> tuple[str, str]:
        """(everything before the value, without the space; everything from the value on)."""
        head, tail = self.attribute.sentences[phrasing].split("{v}")
        return head.format(e=self.entity).rstrip(), f"{self.value}{tail}"

    def question(self, phrasing: int) -> str:
        return self.attribute.questions[phrasing].format(e=self.entity)

    def sentence_phrasings(self, held_out: bool) -> list[int]:
        return _phrasings(len(self.attribute.sentences), self.held_out_sentence, held_out)

    def question_phrasings(self, held_out: bool) -> list[int]:
        return _phrasings(len(self.attribute.questions), self.held_out_question, held_out)

    def options(self, draw: Draw) -> tuple[list[str], int]:
        """Four different values in random order, and where the right one is."""
        wrong = [value for value in self.values if value != self.value]
        four = draw.shuffled([*draw.sample(wrong, 3), self.value])
        return four, four.index(self.value)


def _phrasings(count: int, held: int, held_out: bool) -> list[int]:
    return [held] if held_out else [index for index in range(count) if index != held]


def invent_names(draw: Draw, kind: str, count: int, used: set[str]) -> tuple[str, ...]:
    """Pronounceable names; none is used twice and none begins another."""
    names: list[str] = []
    while len(names) < count:
        sounds = (_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS, NAME_ENDINGS[kind])
        name = "".join(draw.choice(sound) for sound in sounds).capitalize()
        clash = any(name.startswith(old) or old.startswith(name) for old in used)
        if len(name) >= 5 and not clash:
            used.add(name)
            names.append(name)
    return tuple(names)


class World:
    """Entities by kind, values by list name, and the facts."""

    def __init__(self, seed: int = WORLD_SEED) -> None:
        draw, used = Draw("world", seed), set[str]()
        self.entities = {kind: invent_names(draw, kind, n, used) for kind, n in ENTITY_COUNT.items()}
        invented = {kind: invent_names(draw, kind, VALUE_COUNT, used) for kind in ("rivers", "lands")}
        self.values = {**WORDS, **invented, **self.entities}
        self.facts = tuple(self._facts(draw))

    def _facts(self, draw: Draw) -> Iterator[Fact]:
        for attribute in ATTRIBUTES:
            values = self.values[attribute.values]
            for entity in self.entities[attribute.kind]:
                yield Fact(entity, attribute, draw.choice(values), values)

    @cached_property
    def by_entity(self) -> dict[str, tuple[Fact, ...]]:
        return {
            entity: tuple(fact for fact in self.facts if fact.entity == entity)
            for names in self.entities.values()
            for entity in names
        }

    @cached_property
    def by_subject(self) -> dict[str, tuple[Fact, ...]]:
        return {
            attribute.subject: tuple(fact for fact in self.facts if fact.attribute is attribute)
            for attribute in ATTRIBUTES
        }
