"""Label Studio: tasks with annotations, as its JSON import takes them and its JSON export gives them.

Spans are `labels` on the text, boxes `rectanglelabels` on the picture in per cent of its sides,
relations `relation` (https://labelstud.io/guide/task_format, https://labelstud.io/tags/rectanglelabels).
What an annotation cannot say (task, split, types asked for, given mentions) travels in `data.meta`;
where both speak, the annotation is right. In `pair` the spans and boxes are the mentions and regions,
and the relation is the gold answer; in `extract` and `entities` the spans are the gold entities.
Reading is in label_studio_task. Left out: predictions and drafts, which are never gold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from morerl.corpora.jsonl import Refused, in_order, rejected, unseen
from morerl.errors import DataError, ImageError
from morerl.images import open_image
from morerl.interchange import PLAIN, SPLIT, Vocabulary, by_split, new_folder, quote, vocabulary
from morerl.interchange.label_studio_task import (
    LOCAL_FILES,
    UNTYPED_MENTION,
    UNTYPED_REGION,
    local_image,
    region_id,
    split_of,
    task_sample,
)
from morerl.jsonl import write_text
from morerl.schema import Entity, Gold, Mention, Region, Reject, Sample
from morerl.task import TaskSpec

CONFIG = "config.xml"
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # XML 1.0, production Char
Json = dict[str, Any]


def write(samples: Iterable[Sample], out: Path, spec: TaskSpec | None = None, *, image_root: Path | None = None) -> int:
    """Writes <split>.json and config.xml into the new folder `out`; returns the number of samples.

    config.xml is the project's labelling interface: the names of the guideline and of the samples.
    Pictures are named for Label Studio's local storage, so its document root must be the image root;
    with `image_root` their size in pixels is written too. Raises ImageError naming the sample,
    DataError for a label that XML cannot hold, and as `by_split` and `new_folder` do.
    """
    parts = by_split(samples)
    everything = [sample for part in parts.values() for sample in part]
    pictures = any(sample.image is not None for sample in everything)
    config = _config(vocabulary(everything, spec), everything, pictures=pictures)
    with new_folder(out) as folder:
        write_text(folder / CONFIG, [config])
        for split, part in parts.items():
            write_text(folder / f"{split}.json", _pieces(part, image_root, pictures=pictures))
    return len(everything)


def _pieces(part: list[Sample], image_root: Path | None, *, pictures: bool) -> Iterator[str]:
    for number, sample in enumerate(part):
        task = json.dumps(_task(sample, image_root, pictures=pictures), ensure_ascii=False)
        yield f"{',' if number else '['}\n{task}"
    yield "\n]\n"


def _task(sample: Sample, image_root: Path | None, *, pictures: bool) -> Json:
    data: Json = {"id": sample.id, "text": sample.text}
    if sample.image is not None:
        data["image"] = _image(sample)
    elif pictures:
        data["image"] = ""  # Label Studio wants every key of the interface in every task
    meta = sample.model_dump(mode="json", exclude={"id", "text", "image", "gold"})
    # without a known answer there is nothing annotated, unless the question itself is made of spans
    known = sample.gold is not None or sample.task == "pair"
    size = _size(sample, image_root) if known and sample.regions else {}
    return {"data": {**data, "meta": meta}, "annotations": [{"result": _result(sample, size)}] if known else []}


def _image(sample: Sample) -> str:
    name = f"{LOCAL_FILES}{quote(sample.image or '', '%', '-_./~')}"
    try:
        local_image(name)
    except Refused as refused:
        raise DataError(f"{sample.id}: the picture's path cannot be exported: {refused.args[1]}") from refused
    return name


def _size(sample: Sample, image_root: Path | None) -> Json:
    if image_root is None:
        return {}
    try:
        width, height = open_image(image_root, sample.image or "").size
    except ImageError as error:
        raise ImageError(error.reason, f"{sample.id}: {error}") from error
    return {"original_width": width, "original_height": height}


def _result(sample: Sample, size: Json) -> list[Json]:
    result = [_box(region, region_id(region.id, sample.task), size) for region in sample.regions]
    if sample.task == "pair":
        result += [_span(mention, _typed(mention, UNTYPED_MENTION)) for mention in sample.mentions]
    if isinstance(sample.gold, Gold):
        result.append(_relation(sample.head, sample.tail, sample.gold.label))
    elif sample.gold is not None:
        result += [_span(entity, entity.type) for entity in sample.gold.entities]
        result += [_relation(relation.head, relation.tail, relation.label) for relation in sample.gold.relations]
    return result


def _typed(item: Mention | Region, untyped: str) -> str:
    return untyped if item.type is None else item.type


def _span(item: Mention | Entity, label: str) -> Json:
    value = {"start": item.start, "end": item.end, "text": item.text, "labels": [label]}
    return {"id": item.id, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def _box(region: Region, id_: str, size: Json) -> Json:
    x1, y1, x2, y2 = (100 * value for value in region.box)
    value = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": 0}
    named = {**value, "rectanglelabels": [_typed(region, UNTYPED_REGION)]}
    return {"id": id_, "from_name": "box", "to_name": "image", "type": "rectanglelabels", **size, "value": named}


def _relation(head: str | None, tail: str | None, label: str) -> Json:
    return {"type": "relation", "from_id": head, "to_id": tail, "direction": "right", "labels": [label]}


def _config(words: Vocabulary, samples: list[Sample], *, pictures: bool) -> str:
    """The labelling interface: text spans, boxes where there are pictures, relations."""
    plain_mention = any(mention.type is None for sample in samples for mention in sample.mentions)
    plain_region = any(region.type is None for sample in samples for region in sample.regions)
    view = ElementTree.Element("View")
    _choices(view, "Relations", "Relation", words.labels)
    ElementTree.SubElement(view, "Text", name="text", value="$text")
    _choices(view, "Labels", "Label", (*words.types, *[UNTYPED_MENTION][:plain_mention]), name="label", toName="text")
    if pictures:
        ElementTree.SubElement(view, "Image", name="image", value="$image")
        types = (*words.region_types, *[UNTYPED_REGION][:plain_region])
        _choices(view, "RectangleLabels", "Label", types, name="box", toName="image", canRotate="false")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _choices(view: ElementTree.Element, tag: str, child: str, names: Iterable[str], **attributes: str) -> None:
    parent = ElementTree.SubElement(view, tag, attributes)
    for name in dict.fromkeys(names):
        if _NOT_XML.search(name):
            raise DataError(f"the label {name!r} holds characters that Label Studio's interface (XML) cannot show")
        ElementTree.SubElement(parent, child, value=name)


def splits(raw_dir: Path) -> tuple[str, ...]:
    """The splits that the tasks of the folder's *.json files name; the file's name for tasks that name none.

    One export may so hold several splits, and one split come from several files. Raises DataError
    where there is no such file, one that is not a JSON list, or one whose name is needed and names no split.
    """
    return in_order(split for _, _, _, split in _tasks(raw_dir))


def read(raw_dir: Path, split: str, *, corpus: str) -> Iterator[Sample | Reject]:
    """The samples of a split, in the order of the exported files; a task that cannot be used is a Reject.

    Of several annotations the last that was not cancelled counts. A task made by hand is `extract`,
    belongs to `corpus`, and is called <corpus>/<split>/<task id>. Rejects are numbered by task:
    bad_task, bad_meta, no_text, cancelled, url, unsafe_image, unsupported_result, rotated_box,
    bad_value, no_label, several_labels, text_mismatch, two_way_relation, several_relations,
    duplicate_id, bad_field, bad_json (half a surrogate pair). Raises DataError as `splits` does.
    """
    seen: set[str] = set()
    for file, number, task, own in _tasks(raw_dir):
        if own == split:
            try:
                yield unseen(task_sample(task, number, split, corpus), seen)
            except Refused as refused:
                yield rejected(refused, file, number)


def _tasks(raw_dir: Path) -> Iterator[tuple[str, int, Any, str]]:
    """(file, number in it, task, split) of every task; of the file's split, to be refused, where its own is no name."""
    paths = sorted(path for path in raw_dir.glob("*.json") if path.is_file())
    if not paths:
        raise DataError(f"no *.json in {raw_dir}; want Label Studio's export, format JSON (not JSON-MIN)")
    for path in paths:
        for number, task in enumerate(_list(path), 1):
            split = split_of(task, path.stem)
            if not SPLIT.fullmatch(split):
                raise DataError(f"{path}: a task of no split has that of its file; name it like train.json ({PLAIN})")
            yield path.name, number, task, split


def _list(path: Path) -> list[Any]:
    try:
        tasks = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path} as JSON: {error}") from error
    if not isinstance(tasks, list):
        raise DataError(f"{path} is no list of tasks; want Label Studio's export, format JSON")
    return tasks
