"""Parts for pairs. Sources: MORE-R1 section 2.4 (length); R1-RE section 2.2 (r1_format, r1_label)."""

from __future__ import annotations

from morerl.rewards.case import Case
from morerl.rewards.shared import format_
from morerl.scoring import is_right


def length(case: Case) -> float:
    """1 if the reasoning has at least the threshold's characters and the format holds; else 0.

    Gated by the format: the paper's ungated form pays for padding (more_r1 note, flaw 1).
    """
    return float(len(case.parsed.think) >= case.terms.length_threshold and bool(format_(case)))


def r1_format(case: Case) -> float:
    """R1-RE: +1 for the form, -3 without it."""
    return 1.0 if case.well_formed else -3.0


def r1_label(case: Case) -> float:
    """R1-RE: +2 for the right directed label, -1.5 for any other, 0 where the form is missing."""
    if not case.well_formed:
        return 0.0
    return 2.0 if is_right(case.sample, case.parsed.answer, case.spec) else -1.5
