"""The parts of several machines joined: `--shard I/N` on each, their folders copied to one, `--merge` there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from morerl.errors import DataError
from morerl.runs import read_json
from morerl.settings import Settings
from morerl.teacher.build import conclude, open_folder, settle
from morerl.teacher.plan import Work, part_of, plan
from morerl.teacher.store import Store

NAME = re.compile(r"teach-(\d{1,6})-of-(\d{1,6})")
SHOWN = 3


def merge(settings: Settings, *, accept: bool = False) -> dict[str, Any]:
    """Writes what one machine would have written, from the parts below run.dir; returns the totals.

    The parts stay. `accept`: go on in a folder that other settings left. Raises DataError where a part, or a sample of
    a part, is missing, and ConfigError where run.dir holds other work.
    """
    whole = plan(settings)
    parts = [part_of(whole, number, of) for number, of in _parts(settings.run.dir)]
    for one in parts:
        _check_whole(one)
    with Store(whole.store) as store:
        done = open_folder(whole, settings, accept=accept)
        if done is not None:
            return done
        for one in parts:
            store.take_in(one.store)
        return settle(whole, settings, conclude(whole, settings, store, whole=True))


def _parts(run_dir: Path) -> list[tuple[int, int]]:
    """(I, N) of each part. Raises DataError unless they are 1 to N of one N, each with its replies."""
    names = [
        NAME.fullmatch(path.name) for path in sorted(run_dir.glob("teach-*")) if (path / "replies.sqlite").is_file()
    ]
    found = {(int(name[1]), int(name[2])) for name in names if name}
    sizes = {of for _, of in found}
    if len(sizes) != 1:
        told = f"parts of {sorted(sizes)} at once" if sizes else "no part (a folder teach-I-of-N with replies.sqlite)"
        raise DataError(f"{run_dir} holds {told}; copy the folders of all machines there, and of one division only")
    (of,) = sizes
    if missing := sorted(set(range(1, of + 1)) - {number for number, _ in found}):
        raise DataError(f"{run_dir} lacks part {', '.join(f'{number}/{of}' for number in missing)}")
    return sorted(found)


def _check_whole(one: Work) -> None:
    with Store(one.store) as store:
        missing = [sample.id for sample in one.chosen if not _is_asked(store, sample.id, one.mark)]
    told = read_json(one.folder / "teach.json") or {}
    if missing:
        why = "made under other settings or inputs" if told.get("complete") else "its run has not ended"
        some = ", ".join(missing[:SHOWN])
        raise DataError(f"{one.folder} lacks {len(missing)} of its {len(one.chosen)} samples ({some} ...): {why}")
    if not told.get("complete"):
        raise DataError(f"the run in {one.folder} has not ended; run it again with its --shard, then merge")


def _is_asked(store: Store, id_: str, mark: str) -> bool:
    asked = store.asked(id_)
    return asked is not None and asked.mark == mark
