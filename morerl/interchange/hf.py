"""Hugging Face `datasets`: a DatasetDict on disk, one folder a split, rows as TRL's trainers read them.

Columns: `id`; `messages`, the chat that morerl.prompts.render gives, with the completion for the gold
answer where it is known; `images`, missing where no sample has a picture; `sample`, the sample as
JSON, from which `read` restores it. Message content is a plain string: TRL puts the pictures before
it, which is where the prompts have them (trl 1.16, data_utils.prepare_multimodal_messages).
Left out: the pictures on the way back. They stay in the dataset, and samples name them by path.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morerl.corpora.jsonl import in_order, sample_or_reject
from morerl.errors import ConfigError, DataError, ImageError, MorerlError
from morerl.images import crop, open_image, resolve
from morerl.interchange import SPLIT, by_split, new_folder
from morerl.prompts.parse import parse
from morerl.prompts.render import render, render_gold, template_of
from morerl.schema import Region, Reject, Sample
from morerl.settings import ImageSettings, PromptSettings
from morerl.task import TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset, Features

Row = dict[str, Any]
PROMPT, IMAGES = PromptSettings(), ImageSettings()


def write(
    samples: Iterable[Sample],
    out: Path,
    spec: TaskSpec,
    *,
    image_root: Path | None = None,
) -> int:
    """Writes the new folder `out`, to be read by datasets.load_from_disk; returns the number of samples.

    The whole picture is embedded as the bytes of its file, a crop as PNG, neither fitted to a pixel
    budget. Pictures are read one at a time. Raises ConfigError without `image_root` where there are
    pictures, ImageError naming the sample for one that cannot be used, DataError naming the sample whose
    task or gold answer the guideline does not know, and as `by_split` and `new_folder` do.
    """
    from datasets import DatasetDict, disable_progress_bars

    disable_progress_bars()
    parts = by_split(samples)
    pictured = next((one.id for part in parts.values() for one in part if one.image is not None), None)
    if pictured is not None and image_root is None:
        raise ConfigError(f"{pictured} has a picture; say with --image-root which folder its path is relative to")

    def row(sample: Sample) -> Row:
        made = {"id": sample.id, "messages": _chat(sample, spec), "sample": sample.model_dump_json()}
        return {**made, "images": _pictures(sample, image_root)} if pictured is not None else made

    with new_folder(out) as folder:
        cache, features = folder.with_name("cache"), _features(with_images=pictured is not None)
        made = {split: _dataset(part, row, features, cache) for split, part in parts.items()}
        DatasetDict(made).save_to_disk(folder)
    return sum(map(len, parts.values()))


def _features(*, with_images: bool) -> Features:
    from datasets import Features, Image, List, Value

    text = Value("string")
    columns = {"id": text, "messages": List({"role": text, "content": text}), "sample": text}
    return Features({**columns, "images": List(Image())} if with_images else columns)


def _dataset(part: list[Sample], row: Callable[[Sample], Row], features: Features, cache: Path) -> Dataset:
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        # a new fingerprint: datasets caches by it, and its own would take an edited picture for the old one
        return Dataset.from_generator(
            lambda: map(row, part), features=features, cache_dir=str(cache), fingerprint=uuid.uuid4().hex
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, MorerlError):
            raise error.__cause__ from error
        raise


def _chat(sample: Sample, spec: TaskSpec) -> list[dict[str, str]]:
    asked = spec.none is not None if sample.task == "pair" else spec.types and (spec.labels or sample.task != "extract")
    if not asked:
        raise DataError(f"{sample.id} asks {sample.task!r}, which the guideline {spec.corpus!r} does not; name its own")
    (user,) = render(sample, spec, PROMPT, IMAGES)
    text = "".join(block["text"] for block in user["content"] if block["type"] == "text")
    chat = [{"role": "user", "content": text}]
    if sample.gold is not None:
        completion = render_gold(sample, template_of(sample, PROMPT))
        if problems := parse(completion, spec, sample).problems:
            what = ", ".join(problems)
            raise DataError(f"{sample.id}: the gold answer is none by the guideline {spec.corpus!r} ({what})")
        chat.append({"role": "assistant", "content": completion})
    return chat


def _pictures(sample: Sample, root: Path | None) -> list[dict[str, bytes]]:
    """The pictures of the prompt in its order, encoded; the whole picture is checked by decoding it."""
    if sample.image is None or root is None:
        return []
    try:
        picture = open_image(root, sample.image)
        whole = resolve(root, sample.image).read_bytes()
    except ImageError as error:
        raise ImageError(error.reason, f"{sample.id}: {error}") from error
    shown = []
    for view in IMAGES.views:
        shown += [whole] if view == "full" else [_png(crop(picture, region.box)) for region in _asked(sample)]
    return [{"bytes": encoded} for encoded in shown]


def _asked(sample: Sample) -> list[Region]:
    return [region for role in (sample.head, sample.tail) for region in sample.regions if region.id == role]


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def splits(raw_dir: Path) -> tuple[str, ...]:
    """The splits of a DatasetDict on disk. Raises DataError if the folder is none."""
    path = raw_dir / "dataset_dict.json"
    try:
        names = json.loads(path.read_bytes())["splits"]
        return in_order(name for name in names if SPLIT.fullmatch(name) and (raw_dir / name).is_dir())
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise DataError(
            f"{raw_dir} is no folder written by DatasetDict.save_to_disk: cannot use {path.name} ({error})"
        ) from error


def read(raw_dir: Path, split: str, *, corpus: str) -> Iterator[Sample | Reject]:
    """The samples of a split, from its `sample` column alone; pictures are neither decoded nor written.

    `corpus` is part of every reader's shape; each sample names its own. Rejects are numbered by row,
    with the reasons of morerl.corpora.jsonl. Raises DataError for a split that is not there or cannot
    be read, and for one without the column.
    """
    dataset = _load(raw_dir, split)
    if "sample" not in dataset.column_names:
        raise DataError(
            f"{raw_dir / split} has no column `sample`, only {', '.join(dataset.column_names)}: prompts and "
            "completions alone do not say what the samples were. Only what morerl exported can be read back"
        )
    return _rows(dataset.select_columns("sample"), split)


def _load(raw_dir: Path, split: str) -> Dataset:
    from datasets import Dataset

    if split not in splits(raw_dir):
        raise DataError(f"{raw_dir} has no split {split!r}; it has {', '.join(splits(raw_dir))}")
    try:
        return Dataset.load_from_disk(raw_dir / split)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DataError(f"cannot read the dataset {raw_dir / split}: {error}") from error


def _rows(dataset: Dataset, split: str) -> Iterator[Sample | Reject]:
    seen: set[str] = set()
    for number, row in enumerate(dataset.with_format(None), 1):
        yield sample_or_reject(str(row["sample"]), split, seen, file=split, line=number)
