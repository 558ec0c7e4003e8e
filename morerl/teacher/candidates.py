"""The answers a chain names: whether they agree with its types, with its list of candidates and with its own answer.

Only what is plain is judged: a Step 4 with two types and nothing that weighs or denies, a label by its path or as an
item of a list, a conclusion that neither weighs nor denies. A bare name that several answers share (the last part of a
path, a label without its direction) stands for any of them.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from morerl.task import DIRECTIONS, TaskSpec

# a Step 4 with one of these weighs types or denies one
UNCLEAR = re.compile(r"\b(?:not|no|or|either|neither|rather|instead|could|might|may|perhaps|unclear|than)\b|n['’]t\b|/")
NO = r"\b(?:not|no|never|neither|nor|without|except|cannot|unlike|rather than)\b|n['’]t\b"
OUT = r"\b(?:ruled? out|ruling out|rules out|exclud\w*|discard\w*|drop(?:s|ped)?|impossible|closed|invalid)\b"
TURN = re.compile(
    # before a list it goes on to the clause's end ("excluded: a, b"), else to a comma ("a is excluded, b", "not a, b")
    rf"(?P<short>(?:{NO})(?![^,:]{{0,60}}:)|(?:{OUT})(?=\s*,))|(?P<list>{NO}|{OUT})"
    r"|(?P<resumed>\b(?:but|only|so|leav\w+|remain\w*|stays?|keep\w*|hence|therefore|thus|then)\b)|(?P<comma>,)"
)
EITHER = r"\b{0}(?: \([^()]{{0,40}}\))? or (?:an? )?{0}\b"  # of two types
WEIGHS = re.compile(
    r"\b(?:although|though|while|whereas|may|might|could|would|if|rather|instead|nothing|unlike|not|no|nor|neither|never|"
    r"without|cannot|lack\w*|fail\w*|short|absent|missing|weak\w*|unsupported|rival|nearest|near|close\w*)\b|n['’]t\b"
)
CONCLUDES = re.compile(
    r"\b(?:so|hence|therefore|thus|conclu\w+|decid\w+|cho(?:ose|sen)|the (?:answer|label|relation)(?: that \w+)? is|"
    r"is the (?:answer|label|relation))\b"
)
BLANKS = re.compile(r" ?\( ?e([12]) ?, ?e([12]) ?\)")
SENTENCE = re.compile(r"[.!?](?=\s)")
CLAUSE = re.compile(r"[;\n]|\((?!e[12],)|(?<!,e[12])\)|\.(?=\s|$)")  # not at the brackets of a directed label
ENGLISH_PER = re.compile(r"\bas per\b|\bper (?:the|cent|se|step|definition|title|text)\b")
BEFORE = re.compile(r"(?:^|[,:'\"`*“‘\[-]|\b(?:and|or|only|open:|still))\s*$")
AFTER = re.compile(r"\s*(?:$|[,'\"`*”’\].:-]|\b(?:and|or|only)\b)")


class Named(NamedTuple):
    """The labels that one place of Step 5 may mean, and how it stands there."""

    name: str
    answers: frozenset[str]
    whole: bool  # with its path or direction
    listed: bool  # whole, or an item of a list, in a clause that denies nothing
    denied: bool
    clause: str


class Names(NamedTuple):
    """Every way to name the answers of a guideline, in lower case."""

    whole: re.Pattern[str]
    parts: re.Pattern[str]
    meant: dict[str, frozenset[str]]


def contradicts(step4: str, step5: str, answer: str, spec: TaskSpec) -> bool:
    """Whether Steps 4 and 5 are at odds with each other, with the chain's answer or with what they are asked for.

    Step 5 lacks the answer; Step 4 names no type, or either of two for one argument; where its two types are plain,
    they rule out the answer or a label of Step 5, or allow one that Step 5 does not name.
    """
    named = list(_named(step5, spec))
    # the guideline keeps `none` open always, so a word before it ("no label fits: none") denies another
    if not any(answer in one.answers and not (one.denied and answer != spec.none) for one in named):
        return True
    if spec.types and _shirks(step4, spec):
        return True
    types = types_of(step4, spec)
    if types is None or not any(label.head or label.tail for label in spec.labels):
        return False
    allowed = set(spec.allowed(*types))
    if answer not in allowed or any(one.listed and not one.answers & allowed for one in named):
        return True
    return not allowed <= {meant for one in named for meant in one.answers}


def concludes_other(conclusion: str, answer: str, spec: TaskSpec) -> bool:
    """Whether the end of a chain settles on other answers of the guideline than the one it gives.

    An answer counts by its path or with its direction; by its bare name only where the clause says nothing else, or,
    if the name is no plain word, draws a conclusion. Clauses that weigh or deny count for nothing.
    """
    named = list(_named(conclusion, spec))
    if any(answer in one.answers and not (one.denied and answer != spec.none) for one in named):
        return False
    return any(_settles(one) for one in named)


def last_sentence(words: str) -> str:
    """The last sentence of some reasoning that says anything."""
    return next((one for one in reversed(SENTENCE.split(words)) if any(map(str.isalnum, one))), "")


def _settles(one: Named) -> bool:
    if one.denied or WEIGHS.search(one.clause):
        return False
    if one.whole or not one.listed:
        return one.whole
    # "so the party is over" names a plain word
    return len(one.clause.split()) < 3 or (not one.name.isalpha() and CONCLUDES.search(one.clause) is not None)


def _shirks(step4: str, spec: TaskSpec) -> bool:
    """Whether Step 4 names no type at all, or two for one argument."""
    words = step4.lower()
    kinds = _types(spec)
    if not re.search(rf"(?<![\w-]){kinds}(?![\w-])", words):
        return True
    either = re.search(EITHER.format(kinds), words)
    return either is not None and not re.search(rf"{NO}|\brather\b", words)


def types_of(step4: str, spec: TaskSpec) -> tuple[str, str] | None:
    """The head's and the tail's type, where Step 4 names exactly two in that order and is in no doubt; else None."""
    if not spec.types:
        return None
    words = ENGLISH_PER.sub(" ", step4.lower())
    kinds = {name.lower(): name for name in spec.types}
    found = list(re.finditer(rf"(?<![\w-]){_types(spec)}(?![\w-])", words))
    if len(found) != 2 or UNCLEAR.search(words):
        return None
    before = words[: found[0].start()]
    if re.search(r"\b(?:tail|entity)\b", before) and not re.search(r"\b(?:head|object)\b", before):
        return None
    return kinds[found[0][0]], kinds[found[1][0]]


def _types(spec: TaskSpec) -> str:
    return _any([name.lower() for name in spec.types])


def _named(words: str, spec: TaskSpec) -> Iterator[Named]:
    names = _names(_key(spec))
    for clause in CLAUSE.split(BLANKS.sub(r"(e\1,e\2)", words.lower())):
        places, denies = _turns(clause)
        denying = any(denies)
        # paths first: what is left of a line then names labels by their last part alone
        found = [(match.start(), match[0].lstrip("/"), True, True) for match in names.whole.finditer(clause)]
        rest = names.whole.sub(lambda match: "\0" * len(match[0]), clause)
        found += [(match.start(), match[0], False, _is_item(rest, match)) for match in names.parts.finditer(rest)]
        for start, name, whole, plain in found:
            turn = bisect(places, start) - 1
            denied = turn >= 0 and denies[turn]
            yield Named(name, names.meant[name], whole, plain and not denying, denied, clause)


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
    """Every spelling that stands for an answer, with that answer; a directed label's name stands for both."""
    return tuple(
        (name + written, label.name + order)
        for label in spec.labels
        for name in (label.name, *label.aliases)
        for order in (DIRECTIONS if label.directed else ("",))
        for written in dict.fromkeys((order, ""))
    )


@lru_cache(maxsize=16)
def _names(key: Key) -> Names:
    meant: dict[str, set[str]] = {}
    whole: set[str] = set()
    for spelling, answer in key:
        name = spelling.lower().lstrip("/")
        last = name.rpartition("/")[2]
        if name != last or name.endswith(DIRECTIONS):
            whole.add(name)
        for one in {name, last}:
            meant.setdefault(one, set()).add(answer)
    parts = [name for name in meant if name not in whole]
    return Names(
        re.compile(rf"(?<!\w)/?{_any(whole)}(?!\w)"),
        re.compile(rf"(?<!\w){_any(parts)}(?!\w)"),
        {name: frozenset(answers) for name, answers in meant.items()},
    )


def _any(names: set[str] | list[str]) -> str:
    longest_first = sorted(names, key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, longest_first))})" if names else r"(?!)"
