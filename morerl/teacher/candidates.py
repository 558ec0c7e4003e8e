"""Steps 4 and 5 of a chain against each other: the types it sees, and the relations it says they leave open.

Only what is plain is judged: a Step 4 with two types and nothing that weighs or denies, a label by its path or as an
item of a list. A bare name that several labels share (the last part of a path) stands for any of them.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from morerl.task import TaskSpec

# a Step 4 with one of these weighs types or denies one
UNCLEAR = re.compile(r"\b(?:not|no|or|either|neither|rather|instead|could|might|may|perhaps|unclear|than)\b|n['’]t\b|/")
NO = r"\b(?:not|no|never|neither|nor|without|except|cannot|unlike|rather than)\b|n['’]t\b"
OUT = r"\b(?:ruled? out|ruling out|rules out|exclud\w*|discard\w*|drop(?:s|ped)?|impossible|closed|invalid)\b"
TURN = re.compile(
    # before a list it goes on to the clause's end ("excluded: a, b"), else to a comma ("a is excluded, b", "not a, b")
    rf"(?P<short>(?:{NO})(?![^,:]{{0,60}}:)|(?:{OUT})(?=\s*,))|(?P<list>{NO}|{OUT})"
    r"|(?P<resumed>\b(?:but|only|so|leav\w+|remain\w*|stays?|keep\w*|hence|therefore|thus|then)\b)|(?P<comma>,)"
)
CLAUSE = re.compile(r"[;\n]|\((?!e[12],)|(?<!,e[12])\)|\.(?=\s|$)")  # not at the brackets of a directed label
ENGLISH_PER = re.compile(r"\bas per\b|\bper (?:the|cent|se|step|definition|title|text)\b")
BEFORE = re.compile(r"(?:^|[,:'\"`*“‘\[-]|\b(?:and|or|only|open:|still))\s*$")
AFTER = re.compile(r"\s*(?:$|[,'\"`*”’\].:-]|\b(?:and|or|only)\b)")


class Named(NamedTuple):
    """The labels that one place of Step 5 may mean, and how it stands there."""

    answers: frozenset[str]
    listed: bool  # a path, or an item of a list, in a clause that denies nothing
    denied: bool


class Names(NamedTuple):
    """Every way to name the answers of a guideline, in lower case."""

    paths: re.Pattern[str]
    parts: re.Pattern[str]
    meant: dict[str, frozenset[str]]


def contradicts(step4: str, step5: str, answer: str, spec: TaskSpec) -> bool:
    """Whether Step 5 lacks the chain's answer, or Step 4's types rule out the answer or a label of Step 5."""
    named = list(_named(step5.lower(), _names(_key(spec))))
    # the guideline keeps `none` open always, so a word before it ("no label fits: none") denies another
    if not any(answer in one.answers and not (one.denied and answer != spec.none) for one in named):
        return True
    types = types_of(step4, spec)
    if types is None or not any(label.head or label.tail for label in spec.labels):
        return False
    allowed = set(spec.allowed(*types))
    return answer not in allowed or any(one.listed and not one.answers & allowed for one in named)


def types_of(step4: str, spec: TaskSpec) -> tuple[str, str] | None:
    """The head's and the tail's type, where Step 4 names exactly two in that order and is in no doubt; else None."""
    if not spec.types:
        return None
    words = ENGLISH_PER.sub(" ", step4.lower())
    kinds = {name.lower(): name for name in spec.types}
    found = list(re.finditer(rf"(?<![\w-])(?:{'|'.join(map(re.escape, kinds))})(?![\w-])", words))
    if len(found) != 2 or UNCLEAR.search(words):
        return None
    before = words[: found[0].start()]
    if re.search(r"\b(?:tail|entity)\b", before) and not re.search(r"\b(?:head|object)\b", before):
        return None
    return kinds[found[0][0]], kinds[found[1][0]]


def _named(step5: str, names: Names) -> Iterator[Named]:
    for clause in CLAUSE.split(step5):
        places, denies = _turns(clause)
        denying = any(denies)
        # paths first: what is left of a line then names labels by their last part alone
        found = [(match.start(), match[0].lstrip("/"), True) for match in names.paths.finditer(clause)]
        rest = names.paths.sub(lambda match: "\0" * len(match[0]), clause)
        found += [(match.start(), match[0], _is_item(rest, match)) for match in names.parts.finditer(rest)]
        for start, name, plain in found:
            turn = bisect(places, start) - 1
            yield Named(names.meant[name], plain and not denying, turn >= 0 and denies[turn])


def _turns(clause: str) -> tuple[list[int], list[bool]]:
    """Where a clause begins to deny (True) and to hold again (False), in order."""
    places, denies, short = [], [], False
    for match in TURN.finditer(clause):
        kind = match.lastgroup
        if kind == "comma" and not short:
            continue
        short = kind == "short"
        places.append(match.start())
        denies.append(short or kind == "list")
    return places, denies


def _is_item(words: str, match: re.Match[str]) -> bool:
    """Whether a bare name is an item of a list, or no English word at all; else it may be part of a sentence."""
    if not match[0].isalpha():
        return True
    before, after = words[max(0, match.start() - 12) : match.start()], words[match.end() : match.end() + 12]
    return bool(BEFORE.search(before) and AFTER.match(after))


Key = tuple[tuple[str, str], ...]


def _key(spec: TaskSpec) -> Key:
    """Every spelling that stands for an answer, with that answer."""
    orders = {label.name: ("(e1,e2)", "(e2,e1)") if label.directed else ("",) for label in spec.labels}
    return tuple(
        (name + order, label.name + order)
        for label in spec.labels
        for name in (label.name, *label.aliases)
        for order in orders[label.name]
    )


@lru_cache(maxsize=16)
def _names(key: Key) -> Names:
    meant: dict[str, set[str]] = {}
    paths: set[str] = set()
    for spelling, answer in key:
        whole = spelling.lower().lstrip("/")
        last = whole.rpartition("/")[2]
        if whole != last:
            paths.add(whole)
        for name in {whole, last}:
            meant.setdefault(name, set()).add(answer)
    parts = [name for name in meant if name not in paths]
    return Names(
        re.compile(rf"(?<!\w)/?{_any(paths)}(?!\w)"),
        re.compile(rf"(?<!\w){_any(parts)}(?!\w)"),
        {name: frozenset(answers) for name, answers in meant.items()},
    )


def _any(names: set[str] | list[str]) -> str:
    longest_first = sorted(names, key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, longest_first))})" if names else r"(?!)"
