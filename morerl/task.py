"""What may be answered, and what it means: a guideline as it is used, one file of morerl/guidelines."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator, model_validator

from morerl.schema import Frozen


class Label(Frozen):
    """One relation of a task, as its annotation guideline defines it."""

    name: str
    definition: str = Field(description="one sentence")
    restrictions: tuple[str, ...] = Field(default=(), description="when it does not hold, and its neighbours")
    positive: str | None = Field(default=None, description="an example where it holds")
    near_miss: str | None = Field(default=None, description="an example that looks alike but is not")
    head: tuple[str, ...] = Field(default=(), description="types the head may have; empty: any")
    tail: tuple[str, ...] = Field(default=(), description="types the tail may have; empty: any")
    directed: bool = Field(default=False, description="the answer names the argument order, name(e1,e2)")
    symmetric: bool = Field(default=False, description="means the same in both orders; the relaxed figures use it")
    aliases: tuple[str, ...] = Field(default=(), description="other names of it in the corpus's files")

    def joins(self, head_type: str | None, tail_type: str | None, *, swapped: bool = False) -> bool:
        """Whether arguments of these types may be its head and tail, or its tail and head; None: any type."""
        head, tail = (self.tail, self.head) if swapped else (self.head, self.tail)
        return _fits(head_type, head) and _fits(tail_type, tail)


class ArgumentType(Frozen):
    """One type of entity or object, as the guideline defines it."""

    definition: str = Field(description="one sentence")
    restrictions: tuple[str, ...] = Field(default=(), description="what it does not cover, and its neighbours")
    positive: str | None = Field(default=None, description="an example of it")
    near_miss: str | None = Field(default=None, description="an example that looks alike but is not")


DIRECTIONS = ("(e1,e2)", "(e2,e1)")


class TaskSpec(Frozen):
    """What may be answered, and what it means; one file of morerl/guidelines."""

    corpus: str
    protocol: Literal["more", "sem2010", "scier", "ner"] = Field(description="the scorer whose figure is official")
    question: str = Field(description="what is asked, one sentence")
    rules: tuple[str, ...] = Field(default=(), description="general rules of annotation")
    direction: str | None = Field(default=None, description="which argument is the head, one sentence")
    types: dict[str, ArgumentType] = Field(default={}, description="a type's name -> what it is; a string: definition")
    none: str | None = Field(default=None, description="the label that means: no relation; null: no pair is asked")
    labels: tuple[Label, ...] = ()

    @field_validator("types", mode="before")
    @classmethod
    def _defined(cls, types: object) -> object:
        if not isinstance(types, dict):
            return types
        return {name: {"definition": kind} if isinstance(kind, str) else kind for name, kind in types.items()}

    @model_validator(mode="after")
    def _consistent(self) -> TaskSpec:
        names = {label.name: label for label in self.labels}
        if self.none is not None and self.none not in names:
            raise ValueError(f"none label {self.none!r} is not among the labels {list(names)}")
        if self.protocol in ("more", "sem2010") and (self.none is None or names[self.none].directed):
            raise ValueError(f"protocol {self.protocol}: `none` must name the label for no relation, not directed")
        every = [name for label in self.labels for name in (label.name, *label.aliases)]
        for what, found in (("label names and aliases", every), ("types", list(self.types))):
            alike = [name for name, count in Counter(map(fold, found)).items() if count > 1]
            if alike:
                raise ValueError(f"{what} are not unique, for case, blanks and a leading / do not count: {alike}")
        if both := sorted(set(names) & set(self.types)):
            raise ValueError(f"{both} are names of a label and of a type; figures by name would mix them")
        unknown = {t for label in self.labels for t in (*label.head, *label.tail)} - set(self.types)
        if unknown:
            raise ValueError(f"argument types {sorted(unknown)} are not defined under `types`")
        return self

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """Every legal answer, in guideline order; a directed label gives two."""
        return tuple(label.name + order for label in self.labels for order in (DIRECTIONS if label.directed else ("",)))

    @cached_property
    def spellings(self) -> dict[str, str]:
        """Every legal answer of a pair, aliases included, folded -> the answer."""
        return {
            fold(name + order): label.name + order
            for label in self.labels
            for name in (label.name, *label.aliases)
            for order in (DIRECTIONS if label.directed else ("",))
        }

    @cached_property
    def label_names(self) -> dict[str, str]:
        """Every label without direction, aliases included, folded -> its name."""
        return {fold(name): label.name for label in self.labels for name in (label.name, *label.aliases)}

    @cached_property
    def type_names(self) -> dict[str, str]:
        """Every type, folded -> its name."""
        return {fold(name): name for name in self.types}

    def allowed(self, head_type: str | None, tail_type: str | None) -> tuple[str, ...]:
        """Answers that may join these argument types (None = unknown, joins anything); `none` always may."""
        return tuple(
            label.name + order
            for label in self.labels
            for order in (DIRECTIONS if label.directed else ("",))
            if label.name == self.none or label.joins(head_type, tail_type, swapped=order == DIRECTIONS[1])
        )


def fold(name: str) -> str:
    """A name as it is compared: blanks and case do not count, nor does a leading slash."""
    return "".join(name.split()).casefold().removeprefix("/")


def _fits(type_: str | None, permitted: tuple[str, ...]) -> bool:
    return type_ is None or not permitted or type_ in permitted
