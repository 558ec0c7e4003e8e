"""One task of a Label Studio export -> a sample, or the reason why not.

An exported annotation is whatever an annotator left: labels missing, boxes turned, relations both
ways. What has no place in a Sample is refused by name, never guessed. Offsets are code points
(https://github.com/HumanSignal/label-studio/pull/1559); where an old release counted UTF-16 units, the
span's own text tells.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from morerl.corpora.jsonl import Refused, parse_sample
from morerl.interchange import PLAIN, SPLIT
from morerl.schema import Mention, Region, Sample, Task

LOCAL_FILES = "/data/local-files/?d="
UNTYPED_MENTION, UNTYPED_REGION = "Mention", "Region"
_REGION = "region:"
_UNMOVED = 1e-9  # of a side; per cent and back is exact to about 1e-16
Json = dict[str, Any]


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Result(_Loose):
    type: str
    id: str = ""
    value: Json = {}
    from_id: str | None = None
    to_id: str | None = None
    direction: str | None = None
    labels: list[str] | None = None


class _Annotation(_Loose):
    result: list[_Result]
    was_cancelled: bool | None = None


class _Task(_Loose):
    data: Json
    id: int | str | None = None
    annotations: list[_Annotation] = []


class _Meta(_Loose):
    corpus: str | None = None
    split: str | None = None
    task: Task = "extract"
    head: str | None = None
    tail: str | None = None
    types: tuple[str, ...] = ()
    mentions: tuple[Mention, ...] = ()
    regions: tuple[Region, ...] = ()


class _Span(_Loose):
    start: int
    end: int
    text: str | None = None
    labels: list[str] | None = None


class _Box(_Loose):
    x: float
    y: float
    width: float
    height: float
    rotation: float | None = None
    rectanglelabels: list[str] | None = None


def split_of(task: object, default: str) -> str:
    """The split that a task names in data.meta, if splits may be called so, or else the default."""
    data = task.get("data") if isinstance(task, dict) else None
    meta = data.get("meta") if isinstance(data, dict) else None
    split = meta.get("split") if isinstance(meta, dict) else None
    return split if isinstance(split, str) and SPLIT.fullmatch(split) else default


def region_id(id_: str, task: Task) -> str:
    """A region's id in an annotation, whose ids are one space: entities and regions are kept apart."""
    return id_ if task == "pair" else _REGION + id_


def task_sample(raw: object, number: int, split: str, corpus: str) -> Sample:
    """The sample of one exported task; raises Refused with the reasons that label_studio.read names."""
    task = _valid(_Task, raw, "bad_task")
    text = task.data.get("text")
    if not isinstance(text, str):
        raise Refused("no_text", f"data has no `text`, only {sorted(task.data)}; rename the key of the text")
    meta = _valid(_Meta, task.data.get("meta") or {}, "bad_meta")
    if meta.split is not None and not SPLIT.fullmatch(meta.split):
        raise Refused("bad_meta", f"split: {meta.split!r} is no plain name ({PLAIN})")
    id_ = task.data.get("id")
    fields: Json = {
        "id": id_ if isinstance(id_, str) else f"{corpus}/{split}/{number if task.id is None else task.id}",
        "corpus": corpus if meta.corpus is None else meta.corpus,
        "split": split,
        "text": text,
        "image": local_image(task.data.get("image")),
        **meta.model_dump(mode="json", include={"task", "head", "tail", "types", "mentions", "regions"}),
        "gold": None,
    }
    return parse_sample(json.dumps({**fields, **_annotated(task.annotations, meta, text)}))


def _valid(kind: Any, raw: object, reason: str) -> Any:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refused(reason, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def local_image(name: object) -> str | None:
    """A picture's path under the image root; None for no picture.

    Raises Refused: url (nothing is fetched), unsafe_image (absolute, with .., or not a string).
    """
    if name is None or name == "":
        return None
    if not isinstance(name, str):
        raise Refused("unsafe_image", f"data.image is {type(name).__name__}, want the path of one picture")
    if name.startswith(LOCAL_FILES):
        name = _unquote(name.removeprefix(LOCAL_FILES).partition("&")[0])
    if "://" in name or name.startswith(("data:", "//")):
        raise Refused("url", f"{name[:100]!r} is an address; pictures are files under the image root")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
        raise Refused("unsafe_image", f"{name[:100]!r} is no path below the image root")
    return name


def _unquote(text: str) -> str:
    try:
        return re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode()).decode()
    except UnicodeError as error:
        raise Refused("unsafe_image", f"{text[:100]!r} is not quoted UTF-8") from error


def _annotated(annotations: list[_Annotation], meta: _Meta, text: str) -> Json:
    """The fields of a sample that its annotation decides; none of them where there is no annotation."""
    kept = [annotation for annotation in annotations if not annotation.was_cancelled]
    if not kept:
        if annotations:
            raise Refused("cancelled", "every annotation of the task was cancelled")
        return {}
    results = kept[-1].result
    if odd := {result.type for result in results} - {"labels", "rectanglelabels", "relation"}:
        raise Refused("unsupported_result", f"results of the type {', '.join(sorted(odd))} have no place in a sample")
    spans = [_span(result, text) for result in results if result.type == "labels"]
    boxes = [_box(result, meta) for result in results if result.type == "rectanglelabels"]
    links = [_link(result) for result in results if result.type == "relation"]
    if meta.task == "pair":
        return {"mentions": [_mention(span, meta) for span in spans], "regions": boxes, **_answer(links)}
    return {"regions": boxes, "gold": {"entities": spans, "relations": links}}


def _one(labels: list[str] | None, id_: str) -> str:
    if not labels:
        raise Refused("no_label", f"the result {id_!r} has no label")
    if len(labels) > 1:
        raise Refused("several_labels", f"the result {id_!r} has the labels {labels}; want one")
    return labels[0]


def _span(result: _Result, text: str) -> Json:
    span = _valid(_Span, result.value, "bad_value")
    if not 0 <= span.start < span.end <= len(text):
        raise Refused("text_mismatch", f"{result.id!r}: no characters {span.start} to {span.end} in the text")
    found = text[span.start : span.end]
    if span.text is not None and span.text != found:
        raise Refused("text_mismatch", f"{result.id!r}: text[{span.start}:{span.end}] is {found!r}, not {span.text!r}")
    label = _one(span.labels, result.id)
    return {"id": result.id, "start": span.start, "end": span.end, "text": found, "type": label}


def _mention(span: Json, meta: _Meta) -> Json:
    given = [mention.type for mention in meta.mentions if mention.id == span["id"]]
    untyped = span["type"] == UNTYPED_MENTION and UNTYPED_MENTION not in given
    return {**span, "type": None} if untyped else span


def _box(result: _Result, meta: _Meta) -> Json:
    box = _valid(_Box, result.value, "bad_value")
    if box.rotation:
        raise Refused("rotated_box", f"{result.id!r} is turned by {box.rotation:g} degrees")
    corners = (box.x, box.y, box.x + box.width, box.y + box.height)
    id_, type_ = result.id, _one(box.rectanglelabels, result.id)
    if meta.task != "pair":
        id_ = id_.removeprefix(_REGION)
    given = next((region for region in meta.regions if region.id == id_), None)
    if type_ == UNTYPED_REGION and not (given and given.type == UNTYPED_REGION):
        type_ = None
    return {"id": id_, "box": _exact([value / 100 for value in corners], given), "type": type_}


def _exact(box: list[float], given: Region | None) -> list[float]:
    """The box within the picture; the very numbers that were exported where nobody moved it."""
    if given and all(abs(new - old) < _UNMOVED for new, old in zip(box, given.box, strict=True)):
        return list(given.box)
    # a box drawn to the edge may lie beyond it by a rounding error
    return [min(max(value, 0.0), 1.0) if -_UNMOVED < value < 1 + _UNMOVED else value for value in box]


def _link(result: _Result) -> Json:
    if result.direction not in (None, "right", "left"):
        raise Refused("two_way_relation", f"from {result.from_id!r} to {result.to_id!r}: {result.direction!r}")
    label = _one(result.labels, f"{result.from_id} -> {result.to_id}")
    head, tail = (result.to_id, result.from_id) if result.direction == "left" else (result.from_id, result.to_id)
    return {"head": head, "tail": tail, "label": label}


def _answer(links: list[Json]) -> Json:
    """Head, tail and gold of a pair as the one relation has them; nothing without a relation."""
    if len(links) > 1:
        raise Refused("several_relations", f"a pair has one relation, this task has {len(links)}")
    return {"head": links[0]["head"], "tail": links[0]["tail"], "gold": {"label": links[0]["label"]}} if links else {}
