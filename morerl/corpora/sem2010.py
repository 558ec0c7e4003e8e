"""SemEval-2010 Task 8: pairs of nominals in a sentence, nine directed relations and Other.

Full release of July 2010, CC BY 3.0 (Hendrickx et al. 2010, https://aclanthology.org/S10-1006).
A block is `id TAB "sentence"`, the label, `Comment: ...` and an empty line. Comments explain the
gold label, so they stop here. A few sentences lack the blank before a tag ("the<e1>coil</e1>");
they are kept as printed. `dev` is a tenth of the 8,000 training items: the test set chooses nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from morerl.errors import ConfigError, DataError
from morerl.schema import Gold, Mention, Reject, Sample
from morerl.task import DIRECTIONS

RELATIONS = (
    "Cause-Effect",
    "Instrument-Agency",
    "Product-Producer",
    "Content-Container",
    "Entity-Origin",
    "Entity-Destination",
    "Component-Whole",
    "Member-Collection",
    "Message-Topic",
)
LABELS = (*(relation + order for relation in RELATIONS for order in DIRECTIONS), "Other")
SPLITS = ("train", "dev", "test")
DEV_SEED = 2010
_DEV_ONE_IN = 10

# The second file of a split is read only where the first is missing, and bears no labels.
_FILES = {"train": ("TRAIN_FILE.TXT",), "test": ("TEST_FILE_FULL.TXT", "TEST_FILE.txt")}
_UNLABELLED = "test_file.txt"
_KEY = "TEST_FILE_KEY.TXT"
_START = re.compile(rb"[0-9]+\t")
_HEAD = re.compile(r'([0-9]+)\t"(.*)"')
_TAG = re.compile(r"(</?e[12]>)")
_NO_ORDER = (
    "{0!r} does not say which entity comes first. TEST_FILE_KEY.TXT is written like that; "
    "the directed labels are in TEST_FILE_FULL.TXT"
)
_KEY_IS_NO_GOLD = "its labels have no direction, and there are no sentences"


class _Item(NamedTuple):
    number: int
    pieces: tuple[str, str, str, str, str]  # before e1, e1, between, e2, after e2
    label: str | None


class _Refused(Exception):
    """A block that cannot become a sample: args are the reason and the detail of its Reject."""


def splits(raw_dir: Path) -> tuple[str, ...]:
    """train and dev, or test, or all of them: those whose file is below `raw_dir`.

    Raises DataError if there is neither, two different files of one name, or TEST_FILE_KEY.TXT without
    a test file, which cannot be gold.
    """
    has_train, has_test = (_find(raw_dir, part) is not None for part in ("train", "test"))
    if not has_test and (key := _named(raw_dir, _KEY)):
        raise DataError(f"{key[0]} is no test file: {_KEY_IS_NO_GOLD}; want {_FILES['test'][0]}, or move it away")
    if not (has_train or has_test):
        _locate(raw_dir, "train")
    return (("train", "dev") if has_train else ()) + (("test",) if has_test else ())


def read(raw_dir: Path, split: str, *, corpus: str = "sem2010") -> Iterator[Sample | Reject]:
    """The samples of train (7,200), dev (800) or test (2,717) in file order, bad blocks as Rejects.

    The files are looked for by name anywhere below `raw_dir`. Without TEST_FILE_FULL.TXT, test comes
    from TEST_FILE.txt and has no gold. A bad block of the training file belongs to neither of its two
    splits and is told by both. Raises ConfigError for an unknown split, DataError for a missing file.
    """
    if split not in SPLITS:
        raise ConfigError(f"SemEval-2010 Task 8 has no split {split!r}; it has {', '.join(SPLITS)}")
    path = _locate(raw_dir, "test" if split == "test" else "train")
    items = _items(path, path.relative_to(raw_dir).as_posix())
    return (_sample(item, split, corpus) if isinstance(item, _Item) else item for item in _of_split(items, split))


def dev_numbers(labels: Mapping[int, str], *, seed: int = DEV_SEED) -> frozenset[int]:
    """The items of dev: a tenth of each label by largest remainder, a label of one item left out.

    Within a label the items with the smallest SHA-256 of `seed:number` are taken, so that the choice
    depends on no library's random numbers.
    """
    strata: dict[str, list[int]] = {}
    for number, label in labels.items():
        strata.setdefault(label, []).append(number)
    quotas = _quotas({label: len(numbers) for label, numbers in strata.items()})
    return frozenset(
        number
        for label, quota in quotas.items()
        for number in sorted(strata[label], key=lambda n: _drawn(n, seed))[:quota]
    )


def _drawn(number: int, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{number}".encode()).digest()


def _quotas(sizes: Mapping[str, int]) -> dict[str, int]:
    quotas = {label: size // _DEV_ONE_IN for label, size in sizes.items() if size > 1}
    spare = sum(sizes.values()) // _DEV_ONE_IN - sum(quotas.values())
    by_remainder = sorted(quotas, key=lambda label: (-(sizes[label] % _DEV_ONE_IN), label))
    for label in by_remainder[:spare]:
        quotas[label] += 1
    return quotas


def _of_split(items: Iterator[_Item | Reject], split: str) -> Iterator[_Item | Reject]:
    if split == "test":
        yield from items
        return
    everything = list(items)
    dev = dev_numbers({item.number: item.label or "" for item in everything if isinstance(item, _Item)})
    for item in everything:
        if isinstance(item, Reject) or (item.number in dev) == (split == "dev"):
            yield item


def _find(raw_dir: Path, part: str) -> Path | None:
    for name in _FILES[part]:
        found = _named(raw_dir, name)
        if len({path.read_bytes() for path in found}) > 1:
            raise DataError(f"different files named {name}: {', '.join(map(str, found))}; keep one of them")
        if found:
            return found[0]
    return None


def _named(raw_dir: Path, name: str) -> list[Path]:
    return sorted(path for path in raw_dir.rglob("*") if path.name.casefold() == name.casefold() and path.is_file())


def _locate(raw_dir: Path, part: str) -> Path:
    found = _find(raw_dir, part)
    if found is not None:
        return found
    hint = f" ({_KEY} cannot replace it: {_KEY_IS_NO_GOLD})" if part == "test" else ""
    raise DataError(
        f"no {_FILES[part][0]} below {raw_dir}{hint}; download the full release of SemEval-2010 Task 8 "
        "(SemEval2010_task8_all_data, see https://aclanthology.org/S10-1006) and unpack it there"
    )


def _items(path: Path, name: str) -> Iterator[_Item | Reject]:
    seen: set[int] = set()
    for line, block in _blocks(path):
        try:
            item = _item(block, labelled=path.name.casefold() != _UNLABELLED)
            if item.number in seen:
                raise _Refused("duplicate_id", f"the id {item.number} occurred before")
            seen.add(item.number)
            yield item
        except _Refused as refused:
            reason, detail = refused.args
            yield Reject(file=name, line=line, reason=reason, detail=detail)


def _blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Runs of lines up to an empty one or the next id, each with the number of its first line."""
    first, block = 1, []
    try:
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                line = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if block and (not line or _START.match(line)):
                    yield first, block
                    block = []
                if line:
                    first = first if block else number
                    block.append(line)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if block:
        yield first, block


def _item(block: list[bytes], *, labelled: bool) -> _Item:
    try:
        head, *body = [line.decode("utf-8") for line in block]
    except UnicodeDecodeError as error:
        raise _Refused("bad_encoding", str(error)) from error
    number, pieces = _sentence(head)
    return _Item(number, pieces, _label(body) if labelled else _nothing(body))


def _sentence(head: str) -> tuple[int, tuple[str, str, str, str, str]]:
    match = _HEAD.fullmatch(head)
    if match is None:
        value = head.partition("\t")[2].strip()
        if value in RELATIONS:
            raise _Refused("undirected_label", _NO_ORDER.format(value))
        raise _Refused("bad_sentence", f"want: id, tab, sentence in double quotes; found {head[:60]!r}")
    before, *rest = _TAG.split(match[2])
    tags, texts = rest[::2], rest[1::2]
    if tags != ["<e1>", "</e1>", "<e2>", "</e2>"] or not (texts[0].strip() and texts[2].strip()):
        raise _Refused("bad_tags", f"want <e1>..</e1> then <e2>..</e2>, each once, not empty; found {tags}")
    return int(match[1]), (before, texts[0], texts[1], texts[2], texts[3])


def _label(body: list[str]) -> str:
    if not body or body[0].startswith("Comment:"):
        raise _Refused("no_label", "the line after the sentence is no label")
    label = body[0]
    if label in RELATIONS:
        raise _Refused("undirected_label", _NO_ORDER.format(label))
    if label not in LABELS:
        raise _Refused("unknown_label", f"{label[:60]!r} is none of the 19, exact in case and blanks")
    if len(body) > 1 and not body[1].startswith("Comment:"):
        raise _Refused("stray_line", "the line after the label is no comment")
    return label


def _nothing(body: list[str]) -> None:
    if body:
        raise _Refused("stray_line", "this file has sentences only, but a line follows the sentence")


def _sample(item: _Item, split: str, corpus: str) -> Sample:
    before, e1, between, e2, _ = item.pieces
    return Sample(
        id=f"{corpus}/{split}/{item.number:05d}",
        corpus=corpus,
        split=split,
        text="".join(item.pieces),
        mentions=(
            _mention("m0", e1, start=len(before)),
            _mention("m1", e2, start=len(before) + len(e1) + len(between)),
        ),
        head="m0",
        tail="m1",
        gold=None if item.label is None else Gold(label=item.label),
    )


def _mention(name: str, text: str, *, start: int) -> Mention:
    return Mention(id=name, start=start, end=start + len(text), text=text)
