"""`from morerl import Extractor`: a model and a schema, asked about texts and pictures.

    extractor = Extractor.from_pretrained("runs/demo/grpo/model")
    result = extractor.extract("Hale helps Osei", image="a.png", regions=[[0.1, 0.2, 0.5, 0.9]], mentions=["Hale"])

Left out on purpose: pictures as anything but files (everything passes through morerl.images), addresses of pictures
(nothing is fetched), sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import ValidationError

from morerl.config import load_settings
from morerl.errors import ConfigError, ImageError
from morerl.extract.answerers import How, Item, Local, Server, Views
from morerl.extract.findings import result_of
from morerl.extract.mark import mark_of, weights_of
from morerl.extract.questions import Question, questions
from morerl.extract.record import Record, Unfit, id_of, image_of, read_record, text_of
from morerl.extract.result import Fault, Result
from morerl.extract.wanted import Names, Schema, Wanted, of_spec, wanted
from morerl.guidelines import load_spec
from morerl.jsonl import first_fault
from morerl.partial import fingerprint
from morerl.runs import model_of, settings_file
from morerl.settings import GenerateSettings, ImageSettings, ModelSettings, PromptSettings, Settings
from morerl.task import TaskSpec

WINDOW = 2000  # characters: a page or so, which a prompt and its answer take easily
LEAST_WINDOW = 100
OnText = Callable[[Question, str], object]
AT_ONCE = 16  # questions to a server


class Prepared(NamedTuple):
    """A record that can be asked about, and its questions."""

    record: Record
    spec: TaskSpec
    asked: list[Question]
    views: Views


class Trained(NamedTuple):
    """What a run's model was trained to answer, and how it was asked."""

    wanted: Wanted
    prompt: PromptSettings


class Extractor:
    """Finds entities and relations; made by `from_pretrained` or `from_endpoint`.

    `wanted` is what it looks for; `mark` changes with everything that its answers depend on; `trained`: what a model
    in a run's folder learnt to look for.
    """

    def __init__(
        self,
        answerer: Local | Server,
        wanted: Wanted,
        prompt: PromptSettings,
        window: int,
        mark: str,
        trained: Trained | None = None,
    ) -> None:
        if window < LEAST_WINDOW:
            raise ConfigError(f"window = {window}: want {LEAST_WINDOW} characters or more")
        self.wanted, self.mark, self.trained = wanted, mark, trained
        self._answerer, self._prompt, self._window = answerer, prompt, window
        self._fitting = prompt.model_copy(update={"template": None})  # for what the template does not ask

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path,
        schema: Schema | None = None,
        *,
        relations: Names | None = None,
        image_root: str | Path = ".",
        window: int = WINDOW,
        max_new_tokens: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
    ) -> Self:
        """A model of a folder or hub id; a run's folder stands for its latest stage.

        `schema` and `relations`: see `morerl.extract.wanted.wanted`; a model in a run's folder knows its own
        guideline, and how it was asked in training. Pictures lie under `image_root`. Texts longer than `window`
        characters are read in overlapping windows. `device`: a GPU where there is one; `dtype`: the run's, else
        float32. Raises ConfigError or DataError for what cannot be used.
        """
        path_or_id = model_of(path_or_id)
        run = _run_of(path_or_id)
        own = load_spec(run.data.guidelines) if run is not None and run.data.guidelines is not None else None
        trained = Trained(of_spec(own), run.prompt) if run is not None and own is not None else None
        given, prompt = _asked(trained, schema, relations)
        model = _with(run.model if run is not None else ModelSettings(), dtype=dtype)
        generate = _with(run.generate if run is not None else GenerateSettings(), max_new_tokens=max_new_tokens)
        how = How(run.images if run is not None else ImageSettings(), Path(image_root), generate.max_new_tokens)
        mark = mark_of(path_or_id, [model.model_dump_json(), *weights_of(path_or_id)], given, prompt, how, window)
        return cls(Local(path_or_id, model, device, generate.batch_size, how), given, prompt, window, mark, trained)

    @classmethod
    def from_endpoint(
        cls,
        base_url: str,
        model: str,
        schema: Schema | None = None,
        *,
        relations: Names | None = None,
        image_root: str | Path = ".",
        window: int = WINDOW,
        max_new_tokens: int | None = None,
    ) -> Self:
        """A model behind an OpenAI-compatible server (vLLM, `transformers serve`, a vendor); a schema must be given.

        `base_url` ends in /v1, and the key is the environment's OPENAI_API_KEY, as `morerl.models.endpoint.complete`
        has it; the rest as in `from_pretrained`. Raises ConfigError or DataError for what cannot be used.
        """
        given, prompt = wanted(schema, relations), PromptSettings()
        generate = _with(GenerateSettings(), max_new_tokens=max_new_tokens)
        how = How(ImageSettings(), Path(image_root), generate.max_new_tokens)
        mark = mark_of(base_url, [model], given, prompt, how, window)
        return cls(Server(base_url, model, AT_ONCE, how), given, prompt, window, mark)

    def asking(self, schema: Schema | None = None, relations: Names | None = None) -> Extractor:
        """The same model, not loaded again, looking for something else; without a schema for what it was trained on.

        Raises ConfigError or DataError for what cannot be used.
        """
        given, prompt = _asked(self.trained, schema, relations)
        mark = fingerprint(self.mark, [spec.model_dump() for spec in given if spec is not None], prompt.model_dump())
        return Extractor(self._answerer, given, prompt, self._window, mark, self.trained)

    def extract(
        self,
        text: str,
        image: str | Path | None = None,
        *,
        regions: Sequence[Any] = (),
        mentions: Sequence[Any] = (),
        on_text: OnText | None = None,
    ) -> Result:
        """What one text, with a picture or without, holds.

        With `regions` (boxes as x1, y1, x2, y2 in fractions, or {"id", "box"}) and `mentions` (strings of the text,
        [start, end], or {"start", "end"}) the question is how these are related: each region to each mention, or all
        pairs where one kind alone is given. `on_text` is called with a question and all that the model has said to it
        yet, again and again, maybe in another thread; what it raises ends the extraction. Raises DataError or
        ImageError for a record that cannot be asked about, MorerlError for a server that cannot be used.
        """
        raw = {"text": text, "image": image, "regions": regions, "mentions": mentions}
        (result,) = self._answered([self._prepare(raw)], None, on_text)
        return result

    def extract_many(self, records: Iterable[Any], *, batch_size: int | None = None) -> Iterator[Result]:
        """The result of each record, in order, as soon as it is there; `records` are read as they are needed.

        A record is a text, or a dict of `extract`'s arguments with an "id" if you like. One that cannot be asked
        about is a result with an `error`. `batch_size`: questions at once; default the run's, 64, or 16 to a server.
        Raises ConfigError for what is no iterable of records, MorerlError for a server that cannot be used.
        """
        if isinstance(records, str | bytes | Mapping):
            raise ConfigError("extract_many wants an iterable of records: give [record], or use extract")
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size = {batch_size}: want 1 or more")
        return self._results(records, batch_size)

    def _results(self, records: Iterable[Any], batch_size: int | None) -> Iterator[Result]:
        ahead = self._answerer.batches_ahead * (batch_size or self._answerer.batch_size)
        waiting: list[Prepared | Result] = []
        count = 0
        for raw in records:
            waiting.append(self._prepared(raw))
            count += len(waiting[-1].asked) if isinstance(waiting[-1], Prepared) else 1
            if count >= ahead:
                yield from self._answered(waiting, batch_size)
                waiting, count = [], 0
        yield from self._answered(waiting, batch_size)

    def _prepared(self, raw: object) -> Prepared | Result:
        try:
            return self._prepare(raw)
        except (Unfit, ImageError) as error:
            fault = Fault(reason=error.reason, message=str(error))
            return Result(id=id_of(raw), text=text_of(raw), image=image_of(raw), error=fault)

    def _prepare(self, raw: object) -> Prepared:
        record = read_record(raw)
        spec, asked = questions(record, self.wanted, self._window)
        views = {} if record.image is None else self._answerer.look(record.image, record.regions)
        return Prepared(record, spec, asked, views)

    def _answered(
        self, waiting: Sequence[Prepared | Result], batch_size: int | None, on_text: OnText | None = None
    ) -> Iterator[Result]:
        items = [
            Item(question.sample, one.spec, self._wording(question), one.views)
            for one in waiting
            if isinstance(one, Prepared)
            for question in one.asked
            if question.sample is not None
        ]
        listener = None if on_text is None else partial(_told, on_text, waiting)
        said = iter(self._answerer.ask(items, batch_size or self._answerer.batch_size, listener) if items else [])
        for one in waiting:
            if isinstance(one, Result):
                yield one
            else:
                texts = [None if question.sample is None else next(said) for question in one.asked]
                yield result_of(one.record, one.spec, one.asked, texts)

    def _wording(self, question: Question) -> PromptSettings:
        """The run's template, where it asks such a question."""
        about_all = question.head is None
        template = self._prompt.template
        return self._prompt if template is None or (template == "extract") == about_all else self._fitting


def _told(on_text: OnText, waiting: Sequence[Prepared | Result], place: int, text: str) -> None:
    asked = [q for one in waiting if isinstance(one, Prepared) for q in one.asked if q.sample is not None]
    on_text(asked[place], text)


def _asked(trained: Trained | None, schema: Schema | None, relations: Names | None) -> tuple[Wanted, PromptSettings]:
    """What to look for, and how to ask: as in training where the same is looked for."""
    given = trained.wanted if trained and schema is None and relations is None else wanted(schema, relations)
    return given, trained.prompt if trained and given == trained.wanted else PromptSettings()


def _run_of(path_or_id: str | Path) -> Settings | None:
    """The settings that a model was trained with, in a run's folder or in an exported one."""
    path = settings_file(path_or_id)
    return None if path is None else load_settings(path)


def _with(section: Any, **given: object) -> Any:
    """A section with what was given, checked. Raises ConfigError."""
    set_ = {name: value for name, value in given.items() if value is not None}
    try:
        return type(section).model_validate(section.model_dump() | set_)
    except ValidationError as error:
        raise ConfigError(f"{set_}: {first_fault(error)}") from error
