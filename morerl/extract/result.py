"""What comes back of a record: entities with their places, regions, relations, the reasoning, and what went wrong.

Offsets are half-open and count code points, as Python's slices do (JavaScript counts otherwise beyond U+FFFF).
Nothing that a model wrote is left out: what cannot be found in the text has the status `not_found`, what cannot be
used has a problem's name. Left out on purpose: scores, which a model that reasons does not give.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from morerl.extract.viewers import Ent, Link, dependencies, doc_of, highlights, spans
from morerl.schema import Frozen, Region

Status = Literal["exact", "normalised", "not_found"]


class FoundEntity(Frozen):
    """A typed span of the text."""

    id: str = Field(description="unique in its result; relations refer to it")
    text: str = Field(description="text[start:end] of the result; where that is not known, what the model wrote")
    type: str | None = Field(default=None, description="null: a mention that was given without one")
    start: int | None = Field(default=None, description="first character; null: not found")
    end: int | None = Field(default=None, description="one past the last character")
    status: Status = Field(
        description="exact: stands in the text as written; normalised: but for blanks, case or characters that look "
        "alike; not_found"
    )
    written: str | None = Field(default=None, description="what the model wrote, where it is normalised")
    problems: tuple[str, ...] = Field(default=(), description="unknown_type, unknown_argument, bad_item")


class FoundRelation(Frozen):
    """A labelled, directed link between two entities or regions of one result."""

    head: str = Field(description="id of an entity or region")
    tail: str = Field(description="id of an entity or region")
    label: str
    status: Status = Field(description="the worse of its two arguments'; of a region always exact, for it was given")
    problems: tuple[str, ...] = Field(default=(), description="unknown_label, unknown_argument, bad_item")


class Answer(Frozen):
    """One question the model was asked, and what it said."""

    start: int = Field(description="of the part of the text it was shown")
    end: int
    head: str | None = Field(default=None, description="a pair: id of the mention or region asked about first")
    tail: str | None = None
    label: str | None = Field(default=None, description="a pair: the answer, be it that there is no relation")
    reasoning: str = ""
    problems: tuple[str, ...] = Field(default=(), description="of the parser (morerl.prompts.parse), or too_far_apart")
    completion: str | None = Field(default=None, description="as written, where there is a problem; else null")


class Fault(Frozen):
    """Why a record was not asked about."""

    reason: str = Field(description="short stable name, fit for counting, e.g. outside_root")
    message: str


class Result(Frozen):
    """One record, answered; or the `error` why it is not."""

    id: str | None = Field(default=None, description="the record's own")
    text: str = ""
    image: str | None = None
    entities: tuple[FoundEntity, ...] = ()
    regions: tuple[Region, ...] = ()
    relations: tuple[FoundRelation, ...] = ()
    answers: tuple[Answer, ...] = ()
    error: Fault | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for one in self.entities:
            if one.start is not None and self.text[one.start : one.end] != one.text:
                raise ValueError(f"{one.id}: text[{one.start}:{one.end}] is not {one.text!r}")
        ids = {item.id for item in (*self.entities, *self.regions)}
        if lost := [relation for relation in self.relations if not {relation.head, relation.tail} <= ids]:
            raise ValueError(f"relations of unknown arguments: {lost}")
        return self

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered, one paragraph a question."""
        return "\n\n".join(answer.reasoning for answer in self.answers if answer.reasoning)

    @property
    def problems(self) -> tuple[str, ...]:
        """The names of all problems, each once."""
        found = [problem for answer in self.answers for problem in answer.problems]
        return tuple(dict.fromkeys([*found, *(p for item in (*self.entities, *self.relations) for p in item.problems)]))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and numbers; `Result.model_validate` reads them back."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return self.model_dump_json()

    def to_displacy(self, style: Literal["ent", "span", "dep"] = "ent") -> dict[str, Any]:
        """What `spacy.displacy.render(..., style=style, manual=True)` shows; spaCy itself is not needed.

        ent: entities that do not overlap, the longer first; span: all entities; dep: also relations as arcs, regions
        as words in front of the text. What is not found in the text has no place in them; nor, in dep, has an entity
        inside a longer one, with its relations: to_dict() has everything. Labels are escaped,
        which displaCy does for the text alone.
        """
        if style == "ent":
            return highlights(self.text, self._ents())
        if style == "span":
            return spans(self.text, self._ents())
        return dependencies(self.text, self._ents(), [region.id for region in self.regions], self._links())

    def to_spacy(self, nlp: Any) -> Any:
        """A spaCy Doc by the tokenizer of `nlp` (a Language); the pipeline is not run.

        `doc.spans["morerl"]` has every entity found in the text (but for blanks alone), widened to whole tokens, its
        id as span id; `doc.ents` those with a type that do not overlap then, the longer first;
        `doc.user_data["morerl"]` is `to_dict()`, with the places as they are. Raises ConfigError without spaCy,
        ValueError (spaCy's) for a text longer than `nlp.max_length`. displaCy writes a Doc's labels into its page as
        they are, and a model may have made them up: show what you do not trust by `to_displacy`.
        """
        return doc_of(nlp, self.text, self._ents(), self.to_dict())

    def _ents(self) -> list[Ent]:
        found = [e for e in self.entities if e.start is not None]
        return [Ent(e.id, e.start or 0, e.end or 0, e.type or "") for e in found]

    def _links(self) -> list[Link]:
        return [Link(r.head, r.tail, r.label) for r in self.relations]
