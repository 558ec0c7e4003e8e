"""The teacher's audit: one HTML page of randomly drawn kept and rejected chains, beside what was made in all.

For a person who decides whether reasoning data can be trusted: everything is read anew from the rows and the
samples, so that the page does not repeat a gate's mistake. The page opens offline and fetches nothing; what the rows
hold is others' data and shown as text (see morerl.report.write).
Left out on purpose: keeping the reader's verdicts; a page that opens from a file has nowhere to keep them.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from pydantic import ValidationError

from morerl.errors import DataError
from morerl.report import figures
from morerl.report.chain import MAX_NAME, Chain, reason_of, show
from morerl.report.notes import is_number, read_object
from morerl.report.page import asset, environment, policy, write_page
from morerl.report.quotes import guide_words
from morerl.report.reasons import REASONS
from morerl.schema import Reasoning, Sample
from morerl.task import TaskSpec

SUMMARY = Path("teach", "teach.json")  # beside the rows, where the run left one
MAX_REASONS = 60  # bars; the gates have fewer
TOKENS = {"prompt": "prompt_tokens", "completion": "completion_tokens"}


class Pile(NamedTuple):
    """A file of chains: those drawn, in its order, and counts over all of it."""

    rows: list[Reasoning]
    total: int
    reasons: Counter[str]
    models: Counter[str]
    strategies: Counter[str]
    tokens: Counter[str]
    unreadable: int


class Made(NamedTuple):
    """What was made in all; tokens and usd are None where nobody recorded them."""

    facts: list[tuple[str, str]]
    tokens: dict[str, int] | None
    usd: float | None
    notes: list[str]


def write_audit(
    kept: Path,
    rejected: Path,
    samples: Iterable[Sample],
    spec: TaskSpec,
    out: Path,
    *,
    n: int,
    seed: int,
    image_root: Path | None,
) -> None:
    """Writes the page of `n` kept and `n` rejected chains (of fewer: all), drawn with `seed`, atomically to `out`.

    The files are read once, line by line, and of the samples only those drawn are held. Raises DataError if there is
    no file `kept`, and what `samples` raises; `rejected` may be missing, and a line that is no chain is counted.
    """
    if not kept.is_file():
        raise DataError(f"no reasoning at {kept}; build it first with tools/build_reasoning.py")
    piles = {"kept": draw(kept, n, f"{seed}/kept"), "rejected": draw(rejected, n, f"{seed}/rejected")}
    found = find(samples, {row.id for pile in piles.values() for row in pile.rows})
    guide = guide_words(spec)
    chains = [
        show(row, found.get(row.id), name == "kept", spec, guide, image_root)
        for name, pile in piles.items()
        for row in pile.rows
    ]
    made = _made(kept.parent / SUMMARY, piles["kept"], piles["rejected"], (kept.name, rejected.name))
    write_page(out, _page(kept.resolve().parent.name, piles, chains, made, seed))


def draw(path: Path, n: int, seed: str) -> Pile:
    """`n` rows of a file, each set as likely (Vitter's algorithm R: one pass, n rows held); [] where there is none."""
    pile = Pile([], 0, Counter(), Counter(), Counter(), Counter(), 0)
    rng, held, total, unreadable = random.Random(seed), {}, 0, 0
    for row in _rows(path):
        if row is None:
            unreadable += 1
            continue
        place = total if total < n else rng.randrange(total + 1)
        if place < n:
            held[place] = (total, row)
        total += 1
        pile.reasons[reason_of(row)] += 1
        pile.models[row.model[:MAX_NAME]] += 1
        pile.strategies[row.strategy[:MAX_NAME]] += 1
        pile.tokens.update({name: row.usage.get(key, 0) for name, key in TOKENS.items()})
    rows = [row for _, row in sorted(held.values(), key=lambda one: one[0])]
    return pile._replace(rows=rows, total=total, unreadable=unreadable)


def find(samples: Iterable[Sample], ids: set[str]) -> dict[str, Sample]:
    """Those samples by id; reading stops when all are found."""
    found: dict[str, Sample] = {}
    for sample in samples if ids else ():
        if sample.id in ids:
            found[sample.id] = sample
            if len(found) == len(ids):
                break
    return found


def _rows(path: Path) -> Iterator[Reasoning | None]:
    """The chains of a file, None for a line that is none; nothing where there is no file."""
    if not path.is_file():
        return
    with path.open("rb") as lines:
        yield from (_row(line) for line in lines if line.strip())


def _row(line: bytes) -> Reasoning | None:
    try:
        return Reasoning.model_validate_json(line)
    except ValidationError:
        pass
    try:  # bytes that are no UTF-8, and surrogates that stand alone, are a teacher's and worth seeing
        value = json.dumps(json.loads(line.decode("utf-8", "replace")), ensure_ascii=False)
        return Reasoning.model_validate_json(value.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _made(path: Path, kept: Pile, rejected: Pile, names: tuple[str, str]) -> Made:
    notes = [
        f"{name}: {pile.unreadable:,} lines are no chains and are left out."
        for name, pile in zip(names, (kept, rejected), strict=True)
        if pile.unreadable
    ]
    try:
        told = read_object(path) if path.is_file() else {}
    except (ValueError, OSError) as error:
        told = {}
        notes.append(f"{path.name} cannot be used: {error}")
    counted = kept.tokens + rejected.tokens
    tokens = _numbers(told.get("tokens")) or (dict(counted) if counted.total() else None)
    return Made(
        facts=_facts(told, kept.strategies + rejected.strategies, kept.models + rejected.models),
        tokens=tokens,
        usd=told["usd"] if is_number(told.get("usd")) else None,
        notes=notes + _doubts(told, kept.total),
    )


def _facts(told: dict[str, Any], strategies: Counter[str], models: Counter[str]) -> list[tuple[str, str]]:
    """What the rows tell of strategy and model, and what only the run's own summary knows."""
    facts = [("strategy", _most(strategies) or str(told.get("strategy") or "not recorded"))]
    facts.append(("model", _most(models) or str(told.get("model") or "not recorded")))
    facts += [(key, str(told[key])) for key in ("endpoint",) if told.get(key) is not None]
    names = {"asked": "samples asked", "attempts": "requests sent"}
    return facts + [(name, f"{told[key]:,}") for key, name in names.items() if is_number(told.get(key))]


def _most(names: Counter[str]) -> str:
    """The commonest names, with their counts where they are several."""
    found = [(name, n) for name, n in names.most_common(5) if name]
    return found[0][0] if len(found) == 1 else ", ".join(f"{name} ({n:,})" for name, n in found)


def _doubts(told: dict[str, Any], kept: int) -> list[str]:
    doubts = []
    if told.get("complete") is False:
        doubts.append("The run has not ended: these are the chains it has so far.")
    said = told.get("kept")
    if is_number(said) and said != kept:
        doubts.append(f"{SUMMARY.name} speaks of {said:,} kept chains, the file holds {kept:,}.")
    return doubts


def _numbers(value: object) -> dict[str, int] | None:
    if not isinstance(value, dict):
        return None
    return {name: round(value[name]) for name in TOKENS if is_number(value.get(name))} or None


def _page(name: str, piles: dict[str, Pile], chains: list[Chain], made: Made, seed: int) -> str:
    script, style = asset("theme.js") + asset("audit.js"), asset("report.css") + asset("audit.css")
    counts = {"kept": float(piles["kept"].total), **dict(piles["rejected"].reasons.most_common(MAX_REASONS))}
    reasons = list(dict.fromkeys(chain.reason for chain in chains if not chain.kept))
    labels = sorted({label for chain in chains for label in chain.labels})
    return (
        environment()
        .get_template("audit.html.jinja")
        .render(
            policy=policy(script, style),
            script=Markup(script),
            style=Markup(style),
            name=name,
            made=made,
            piles=piles,
            chains=chains,
            seed=seed,
            bars=figures.bars(counts, of_sum=True),
            why=REASONS,
            reasons=reasons,
            labels=labels,
            drawn=Counter(one for chain in chains for one in _groups(chain, reasons, labels)),
            groups=[" ".join(_groups(chain, reasons, labels)) for chain in chains],
        )
    )


def _groups(chain: Chain, reasons: list[str], labels: list[str]) -> list[str]:
    """What the page's choices go by: kept or rejected, and the numbers of the chain's reason and labels."""
    kind = ["kept"] if chain.kept else ["rejected", f"r{reasons.index(chain.reason)}"]
    return kind + [f"l{labels.index(label)}" for label in chain.labels]
