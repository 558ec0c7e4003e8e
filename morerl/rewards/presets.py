"""Presets: the four papers' rewards as they are safe to train with, and as the papers have them (`_paper`).

What the defaults change and why is in each comment; tests/test_hacks.py holds every one of them against the known
exploits, and says which of them pay under the papers' own forms.
"""

from __future__ import annotations

from morerl.grpo_settings import RewardSettings

Preset = dict[str, RewardSettings]


def _part(weight: float, gate: str | None = None) -> RewardSettings:
    return RewardSettings(weight=weight, gate=gate)


def _second(weight: float, gate: str) -> RewardSettings:
    """Nothing in the first stage."""
    return RewardSettings(stages=(0.0, weight), gate=gate)


PENALTIES = {"overlong": _part(0.25), "repetition": _part(0.25)}

PRESETS: dict[str, Preset] = {
    # a right answer always wins, and length pays nobody who is wrong (the paper: 1, 1, 1, ungated)
    "more_r1": {"format": _part(0.5), "length": _part(0.25, "answer"), "answer": _part(2.0), **PENALTIES},
    "more_r1_paper": {"format": _part(1.0), "length_paper": _part(1.0), "answer": _part(1.0)},
    # bare `Other` is a legal answer, blanks and case do not count, an unknown label is wrong and no broken form
    "r1_re": {"r1_format": _part(1.0), "r1_label": _part(1.0), **PENALTIES},
    "r1_re_paper": {"r1_format_paper": _part(1.0), "r1_label_paper": _part(1.0)},
    # F1 counts for an answer that does not hedge, relations where an entity is right, reasons where a relation is
    "r2grpo": {
        "format": _part(0.5),
        "schema": _part(0.5, "format"),
        "coherent": _part(0.25, "format"),
        "ner_f1": _part(1.0, "coherent"),
        "rel_f1": _second(2.0, "ner_f1"),
        "relevance": _second(0.25, "rel_f1"),
        "rule": _second(0.25, "rel_f1"),
        **PENALTIES,
    },
    "r2grpo_paper": {
        name: _part(1.0) for name in ("r2_format_paper", "r2_ner_paper", "r2_rel_paper", "r2_reasons_paper")
    },
    # F1 and a bonus for all of it
    "ner_rl": {
        "format": _part(0.5),
        "coherent": _part(0.25, "format"),
        "ner_grounded": _part(1.0, "coherent"),
        "answer": _part(0.25, "format"),
        **PENALTIES,
    },
    # the blog's own shape, by items, in any order
    "ner_rl_items": {
        "format": _part(0.5),
        "answer": _part(2.0, "format"),
        "ner_items": _part(1.0, "format"),
        **PENALTIES,
    },
    "ner_rl_paper": {
        name: _part(1.0) for name in ("ner_format_paper", "ner_exact_paper", "ner_found_paper", "ner_wrong_paper")
    },
}
