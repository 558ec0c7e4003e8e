"""Where a release of the MORE family keeps its files, and which labels it may use.

MORE (doi 10.1145/3581783.3612209): txt/{train,valid,test}.txt, img_org/<split>/, rel2id.json.
MNRE-2 (https://github.com/thecharm/MNRE): "mnre_txt/mnre_val .txt", blank included; most who use it
keep txt/ours_val.txt, img_org/val/ and ours_rel2id.json instead. UMRE (https://github.com/Nikol-coder/REMOTE):
umke_partner/val_set.json with one dict a line or one array, pos_umke.json with the boxes of all splits, UMKE_IMG/.
Left out: *_dict.pth, which are pickles and never opened; captions, depth maps, crops.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from morerl.errors import ConfigError, DataError
from morerl.guidelines import known_specs, load_spec

FILES = {"train": "train", "dev": "valid", "test": "test"}
_WORDS = {"train": ("train",), "dev": ("dev", "valid", "val"), "test": ("test",)}
_TEXT_FOLDERS = ("txt", "mnre_txt", "umke_partner", ".")
_IMAGE_FOLDERS = ("img_org", "images", "mnre_image", "UMKE_IMG")
_WANT = (
    "Want the MORE release: txt/{train,valid,test}.txt and img_org/{train,val,test}/ below one folder; "
    "or MNRE with mnre_txt/mnre_{train,val,test}.txt, or UMRE with {train,val,test}_set.json"
)


def text_files(raw_dir: Path, split: str) -> list[Path]:
    """The files that may hold the lines of a split (train, dev, test): none, the one, or too many.

    Raises ConfigError for an unknown split, DataError for a folder that cannot be read.
    """
    return [path for path in _named(raw_dir, split) if path.suffix.lower() == ".txt" or _is_json(path, "set")]


def text_file(raw_dir: Path, split: str) -> Path:
    """The file of a split; raises as `text_files`, and DataError if there is none or more than one."""
    found = text_files(raw_dir, split)
    if not found:
        raise DataError(f"cannot read {raw_dir}/txt/{FILES[split]}.txt, nor another name of it is there. {_WANT}")
    return _only(found, f"the split {split!r}")


def side_file(raw_dir: Path, split: str) -> Path | None:
    """The JSON with the boxes of a split's pictures: ent_train_dict.json and the like, or pos_*.json for all splits.

    Raises DataError for two of them.
    """
    found = [path for path in _named(raw_dir, split) if _is_json(path) and not _is_json(path, "set", "caption", "cap")]
    found += [path for path in _listed(raw_dir) if _is_json(path, "pos")]
    return _only(list(dict.fromkeys(found)), f"the boxes of {split!r}") if found else None


def image_folder(raw_dir: Path, split: str) -> str:
    """The folder of a split's pictures, relative to `raw_dir`; where there is none, the one MORE would have."""
    names = dict.fromkeys((split, FILES[split], *_WORDS[split]))
    for base in _IMAGE_FOLDERS:
        for name in names:
            if (raw_dir / base / name).is_dir():
                return f"{base}/{name}"
    every = {word for words in _WORDS.values() for word in words}
    flat = (b for b in _IMAGE_FOLDERS if (raw_dir / b).is_dir() and not any((raw_dir / b / w).is_dir() for w in every))
    return next(flat, f"img_org/{split}")


class Labels(NamedTuple):
    """Which labels a line may bear, and who says so."""

    legal: Mapping[str, str] | None  # spelling -> name; None: any label
    listed: frozenset[str] | None  # the keys of rel2id.json; None: there is no such file
    file: str  # what that file is called
    spelled: Mapping[str, str] | None  # spelling -> name in the guideline; None: there is none
    guideline: str


def legal_labels(raw_dir: Path, text: Path, corpus: str) -> Labels:
    """The release's rel2id.json decides which labels are legal, the corpus's guideline what they are called.

    With one of the two alone, that one does both; without either any label is. Ids are not used. Raises
    DataError for a rel2id.json that is no JSON object, or two of them.
    """
    path = _rel2id(raw_dir, text)
    listed, file = (frozenset(read_object(path)), path.name) if path else (None, "rel2id.json")
    if corpus not in known_specs():
        return Labels(None if listed is None else {name: name for name in listed}, listed, file, None, corpus)
    spec = load_spec(corpus)
    names = {spelling: label.name for label in spec.labels for spelling in (label.name, *label.aliases)}
    used = names.values() if listed is None else {names[name] for name in listed if name in names}
    legal = {spelling: name for spelling, name in names.items() if name in used}
    return Labels(legal, listed, file, names, corpus)


def why_unknown(label: str, labels: Labels) -> str:
    """Which of rel2id.json and the guideline lacks a label that is not legal, and what to do."""
    shown = repr(label[:100])
    if label in (labels.listed or ()) and labels.spelled is not None:
        fix = "prepare under --name NAME with a guideline of your own"
        return f"{shown}: {labels.file} has it, the guideline {labels.guideline} does not; {fix}"
    if label in (labels.spelled or ()):
        fix = "add it there if it is a label of this corpus"
        return f"{shown}: the guideline {labels.guideline} has it, {labels.file} does not; {fix}"
    sources = (labels.file if labels.listed is not None else "", f"the guideline {labels.guideline}")
    told = " and ".join(filter(None, sources if labels.spelled is not None else sources[:1]))
    return f"{shown} is no label of this corpus" + (f" (asked: {told})" if told else "")


def label_notes(labels: Labels) -> list[str]:
    """That a rel2id.json was found, and where it and the guideline differ."""
    if labels.listed is None:
        return []
    told = [f"{labels.file}: {len(labels.listed)} labels; no others are legal"]
    if labels.spelled is not None and (odd := sorted(labels.listed - labels.spelled.keys())):
        told.append(f"{labels.file} has labels that the guideline {labels.guideline} lacks: {', '.join(odd)[:300]}")
    if labels.spelled is not None and (odd := sorted({*labels.spelled.values()} - {*(labels.legal or {}).values()})):
        told.append(f"the guideline {labels.guideline} has labels that {labels.file} lacks: {', '.join(odd)[:300]}")
    return told


def read_object(path: Path) -> dict[str, object]:
    """The JSON object a file holds; raises DataError naming the file otherwise."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # bad UTF-8 and numbers of too many digits are ValueErrors
        raise DataError(f"{path} is not valid JSON: {str(error)[:200]}; take it from the release again") from error
    if not isinstance(value, Mapping):
        raise DataError(f"{path} holds {type(value).__name__}, not a JSON object; take it from the release again")
    return value


def _rel2id(raw_dir: Path, text: Path) -> Path | None:
    folders = dict.fromkeys((raw_dir, text.parent))
    found = [path for folder in folders for path in _files(folder) if re.fullmatch(r".*rel2id.*\.json", path.name)]
    return _only(found, "the label ids") if found else None


def _named(raw_dir: Path, split: str) -> list[Path]:
    if split not in _WORDS:
        raise ConfigError(f"the MORE family has no split {split!r}; it has {', '.join(FILES)}")
    return [path for path in _listed(raw_dir) if not _words(path).isdisjoint(_WORDS[split])]


def _listed(raw_dir: Path) -> Iterator[Path]:
    return (path for name in _TEXT_FOLDERS for path in _files(raw_dir / name))


def _files(folder: Path) -> list[Path]:
    """Its files by name; those that begin with a dot are a system's own."""
    if not folder.is_dir():
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error


def _words(path: Path) -> set[str]:
    """`mnre_val .txt` -> mnre, val: `latest.txt` is no test and `evaluation.txt` no val."""
    return set(re.split(r"[^a-z]+", path.stem.lower()))


def _is_json(path: Path, *words: str) -> bool:
    """Its suffix says so, and its name holds one of the words, if any is given."""
    return path.suffix.lower() == ".json" and (not words or not _words(path).isdisjoint(words))


def _only(found: list[Path], what: str) -> Path:
    if len(found) > 1:
        raise DataError(f"several files may be {what}: {', '.join(map(str, found))}; keep one of them")
    return found[0]
