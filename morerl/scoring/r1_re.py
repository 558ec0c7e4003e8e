"""R1-RE's protocol (Dai et al. 2025, section on evaluation) on pair questions: accuracy without the negative label.

Samples whose gold is `none` are left out, and the figures are Avg@K, the mean accuracy of K draws, and Pass@K. Not
comparable with the official macro-F1: the paper pools and redraws the splits (r1_re note, 1.2).
"""

from __future__ import annotations

from morerl.scoring.counts import Counts, Rates, rate
from morerl.scoring.pairs import hits
from morerl.task import TaskSpec

PRIMARY = "accuracy"


def figures(table: Counts, spec: TaskSpec) -> dict[str, Rates]:
    """Accuracy in per cent, from tables [..., answers, answers + 1] to values [...]; unparseable is wrong."""
    return {"accuracy": rate(hits(table).sum(-1), table.sum((-2, -1)))}
