"""Rewards: pure functions of a completion, its sample and the task, each with a name, a range and a log of its own.

They call the parser and compare as the scorer does, so a reward cannot disagree with the evaluation. `grpo.rewards`
names a preset, or parts with weights, gates and stages. A completion is parsed once, however many parts are asked.
Left out on purpose: reward models, and anything that looks at more than one completion.
"""

from morerl.rewards.case import Case, Terms
from morerl.rewards.compose import Weighed, begins, check_rewards, compose, judge, terms_of
from morerl.rewards.parts import REWARDS, Part, reward
from morerl.rewards.presets import PRESETS

__all__ = [
    "PRESETS",
    "REWARDS",
    "Case",
    "Part",
    "Terms",
    "Weighed",
    "begins",
    "check_rewards",
    "compose",
    "judge",
    "reward",
    "terms_of",
]
