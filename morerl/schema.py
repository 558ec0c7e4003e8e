"""The nouns: everything that moves between the stages, frozen.

A `Sample` is one question about one text (and picture): which relation holds between its head and
its tail (`pair`), which entities and relations does it state (`extract`), which entities does it
hold (`entities`)? A `morerl.task.TaskSpec` says which answers are legal and what they mean. Nothing below the
corpus readers knows which corpus a sample came from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Box = tuple[Fraction, Fraction, Fraction, Fraction]


class Frozen(BaseModel):
    """Base of every noun: immutable, keyword-only, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mention(Frozen):
    """A span of the text."""

    id: str
    start: int = Field(ge=0, description="first character, counted in code points")
    end: int = Field(description="one past the last character (half-open)")
    text: str = Field(description="exactly text[start:end] of the sample")
    type: str | None = None


class Region(Frozen):
    """A box of the picture."""

    id: str
    box: Box = Field(description="x1, y1, x2, y2 as fractions of width and height, x1 < x2, y1 < y2")
    type: str | None = None


class Gold(Frozen):
    """The right answer of a `pair` question: one legal answer of the task, direction included."""

    label: str


class Entity(Frozen):
    """A typed span, as gold states it or as a model wrote it."""

    id: str = Field(description="unique in its extraction; relations refer to it")
    text: str
    type: str
    start: int | None = Field(default=None, ge=0, description="first character; null: the text does not hold it")
    end: int | None = Field(default=None, description="one past the last character (half-open)")


class Relation(Frozen):
    """A labelled, directed link between two entities of one extraction."""

    head: str = Field(description="id of an entity")
    tail: str = Field(description="id of an entity")
    label: str


class Extraction(Frozen):
    """What a text holds. In gold every entity has its place and every relation its two; a model's may lack either."""

    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Extraction:
        if len({entity.id for entity in self.entities}) != len(self.entities):
            raise ValueError(f"entity ids are not unique: {[entity.id for entity in self.entities]}")
        return self


def _kind(answer: object) -> str:
    """Which answer a JSON object is meant to be, so that an error speaks of that one alone."""
    keys = answer if isinstance(answer, dict) else getattr(answer, "__dict__", {})
    return "pair" if "label" in keys else "extraction"


Answer = Annotated[Annotated[Gold, Tag("pair")] | Annotated[Extraction, Tag("extraction")], Discriminator(_kind)]
Task = Literal["pair", "extract", "entities"]


class Sample(Frozen):
    """One question of one record; one line of samples.jsonl."""

    id: str = Field(description="unique in the corpus, e.g. more/test/000123")
    corpus: str
    split: str
    text: str
    image: str | None = Field(default=None, description="path under the image root; null for text-only")
    mentions: tuple[Mention, ...] = ()
    regions: tuple[Region, ...] = ()
    task: Task = "pair"
    head: str | None = Field(default=None, description="pair: id of a mention or region; else null")
    tail: str | None = Field(default=None, description="pair: id of a mention or region; else null")
    types: tuple[str, ...] = Field(default=(), description="entity types asked for; empty: all of the guideline")
    gold: Answer | None = Field(default=None, description="null where the answer is not known")

    @model_validator(mode="after")
    def _consistent(self) -> Sample:
        for mention in self.mentions:
            self._check_span("mention", mention.id, mention.text, mention.start, mention.end)
        for region in self.regions:
            x1, y1, x2, y2 = region.box
            if not (x1 < x2 and y1 < y2):
                raise ValueError(f"region {region.id}: box {region.box} is empty (want x1 < x2 and y1 < y2)")
        ids = [item.id for item in (*self.mentions, *self.regions)]
        if len(ids) != len(set(ids)):
            raise ValueError(f"mention and region ids are not unique: {ids}")
        if self.regions and self.image is None:
            raise ValueError("the sample has regions but no image")
        for role in (self.head, self.tail):
            if self.task == "pair" and role not in ids:
                raise ValueError(f"head/tail {role!r} is none of the sample's mentions and regions {ids}")
            if self.task != "pair" and role is not None:
                raise ValueError(f"head/tail {role!r}: only the task `pair` has them, this is {self.task!r}")
        if self.gold is not None:
            self._check_gold()
        return self

    def _check_span(self, what: str, id_: str, text: str, start: int | None, end: int | None) -> None:
        if start is None or end is None:
            raise ValueError(f"{what} {id_} {text!r} has no start and end in the text")
        if not start < end <= len(self.text) or self.text[start:end] != text:
            found = f"text[{start}:{end}] is {self.text[start:end]!r}, not {text!r}"
            raise ValueError(f"{what} {id_}: {found} (offsets are half-open, in characters)")

    def _check_gold(self) -> None:
        if isinstance(self.gold, Gold) != (self.task == "pair"):
            wanted = "{label}" if self.task == "pair" else "{entities, relations}"
            raise ValueError(f"the gold answer of the task {self.task!r} must be {wanted}")
        if self.task != "pair":
            self._check_extraction(extraction(self))

    def _check_extraction(self, gold: Extraction) -> None:
        for entity in gold.entities:
            self._check_span("gold entity", entity.id, entity.text, entity.start, entity.end)
            if self.types and entity.type not in self.types:
                raise ValueError(f"gold entity {entity.id} is a {entity.type!r}, which the sample does not ask for")
        ids = {entity.id for entity in gold.entities}
        for relation in gold.relations:
            if unknown := {relation.head, relation.tail} - ids:
                raise ValueError(f"gold relation {relation.label!r} refers to {sorted(unknown)}, no gold entity's id")
        if gold.relations and self.task == "entities":
            raise ValueError("gold relations: the task `entities` asks for none; `extract` does")

    def argument(self, role_id: str | None) -> Mention | Region:
        """The mention or region with this id."""
        return next(item for item in (*self.mentions, *self.regions) if item.id == role_id)


def label(sample: Sample) -> str:
    """The gold label of a `pair` sample that has one."""
    assert isinstance(sample.gold, Gold), f"{sample.id} has no gold label"
    return sample.gold.label


def extraction(sample: Sample) -> Extraction:
    """The gold extraction of an `extract` or `entities` sample that has one."""
    assert isinstance(sample.gold, Extraction), f"{sample.id} has no gold extraction"
    return sample.gold


class Reasoning(Frozen):
    """One kept (or rejected) chain; one line of reasoning.jsonl. What others write needs only the first four."""

    id: str = Field(description="the sample's id")
    completion: str = Field(description="<think>...</think> <answer>...</answer>")
    model: str = Field(description="the teacher, as it named itself")
    prompt_hash: str = Field(description="SHA-256 of the messages it was shown")
    strategy: str = Field(default="", description="name and version of what it was asked")
    draw: int = Field(default=0, description="which of the sample's draws this is, from 0")
    temperature: float | None = None
    seed: int | None = None
    pictures: tuple[str, ...] = Field(default=(), description="SHA-256 of each picture's size and pixels as shown")
    finish_reason: str = "stop"
    usage: dict[str, int] = {}
    attempts: int = Field(default=1, description="requests sent for this draw, failed ones among them")
    time: str | None = Field(default=None, description="when the reply came, UTC")
    pass_rate: float | None = Field(default=None, description="distill: share of the sample's draws that are right")
    reason: str | None = Field(default=None, description="why it was rejected; null when kept")


class Rated(Frozen):
    """How often a model got a sample right; one line of rated.jsonl."""

    id: str
    n: int = Field(ge=1, description="completions drawn")
    n_correct: int = Field(ge=0)

    @model_validator(mode="after")
    def _at_most_all(self) -> Rated:
        if self.n_correct > self.n:
            raise ValueError(f"n_correct = {self.n_correct} is more than n = {self.n}, the completions drawn")
        return self

    @property
    def pass_rate(self) -> float:
        """Share of right completions, 0 to 1."""
        return self.n_correct / self.n


class Completions(BaseModel):
    """What is read of a line of predictions.jsonl; keys of others' making are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    completions: tuple[str, ...]


class Prediction(Frozen):
    """What a model wrote, and what the parser saw in it; one line of predictions.jsonl, read back as `Completions`."""

    id: str
    completions: tuple[str, ...]
    answer: str | dict[str, Any] | None = None
    problems: tuple[str, ...] = ()


class Reject(Frozen):
    """One line of a corpus that could not become a sample; one line of rejected.jsonl."""

    file: str
    line: int | None = Field(default=None, ge=1, description="null where the file itself, e.g. a picture, is at fault")
    reason: str = Field(description="short stable name, fit for counting, e.g. bad_box")
    detail: str = ""


class Metrics(Frozen):
    """The figures of one model on one split; metrics.json. Every rate is in per cent."""

    protocol: str
    about: str = Field(default="", description="what the protocol counts, and its source")
    n: int = Field(description="samples scored; every one counts, parseable or not")
    primary: dict[str, str | float] = Field(description="{name, value} of the official figure")
    figures: dict[str, float] = Field(description="every other figure by name")
    per_label: dict[str, dict[str, float]] = Field(description="label -> precision, recall, f1, gold, predicted")
    confusion: dict[str, dict[str, int]] = Field(description="gold -> predicted -> count, of labels or types")
    errors: dict[str, int] = Field(default={}, description="relations: kind of error -> count, `right` among them")
    ci95: dict[str, tuple[float, float]] = Field(description="95% bootstrap interval over samples, by figure name")
    problems: dict[str, int] = Field(default={}, description="parser problem -> count")
    settings: dict[str, str | int | float | None] = Field(default={}, description="what made the predictions")
