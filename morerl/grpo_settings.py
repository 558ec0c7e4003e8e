"""The section `grpo` of the settings: rewards, mixing, the trainer.

Rewards are named in morerl.rewards, which checks the names; what a preset stands for is read there too, so that a run's
resolved config says what was asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from morerl.sections import DevSettings, Section


class MixingSettings(Section):
    """Which rated sample is trained when; see morerl.mixing.schedule and morerl.mixing.adaptive."""

    strategy: Literal["progressive", "raw", "hard_only", "fixed", "adaptive"] = Field(
        default="progressive",
        description="an epoch is, by MORE-R1: every hard sample and easy:hard = alpha^(t-1) : 1; raw: all samples; "
        "hard_only: the hard ones; fixed: easy:hard = 1 : 1; adaptive: drawn by what the rollouts tell, "
        "for as many windows as progressive has",
    )
    alpha: float = Field(default=0.5, ge=0.0, le=100.0, description="1: fixed 1:1; 0: hard samples only after epoch 1")
    epochs: int = Field(default=4, ge=1, description="epochs of the schedule; the run's steps follow")
    hard_below: float = Field(default=1.0, gt=0.0, le=1.0, description="hard: pass rate below it (1: not always right)")
    decay: float = Field(
        default=0.5,
        ge=0.0,
        lt=1.0,
        description="adaptive: share of the old pass rate in the new, beside the rollouts'",
    )
    floor: float = Field(
        default=0.05, gt=0.0, le=0.25, description="adaptive: the least p(1-p) a sample not solved is drawn by"
    )
    replay: float = Field(default=0.1, ge=0.0, lt=1.0, description="adaptive: share of the draws kept for the solved")
    refill: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="adaptive: share of a window's prompts that may be replaced where their rollouts are all alike",
    )


class RewardSettings(Section):
    """How much one part of the reward counts, and when."""

    weight: float | None = Field(default=None, description="throughout the run; of a preset: times its own weights")
    stages: tuple[float, float] | None = Field(
        default=None, description="instead of a weight: before and from grpo.second_stage on; null there: the second"
    )
    gate: str | None = Field(default=None, description="another part: this one counts only where that one is above 0")

    @model_validator(mode="after")
    def _one_of_both(self) -> RewardSettings:
        if (self.weight is None) == (self.stages is None):
            raise ValueError("want either weight or stages: [first, second]")
        return self


def _spelled_out(rewards: object) -> object:
    """A bare name stands for {name: 1}, a bare number for {weight: number}."""
    named = {rewards: 1.0} if isinstance(rewards, str) else rewards
    if not isinstance(named, dict):
        return named
    return {name: {"weight": one} if isinstance(one, int | float) else one for name, one in named.items()}


def _as_written(rewards: dict[str, RewardSettings]) -> dict[str, Any]:
    plain = {name: one.weight for name, one in rewards.items() if one.gate is None and one.stages is None}
    return {name: plain.get(name, one.model_dump(exclude_none=True, mode="json")) for name, one in rewards.items()}


Rewards = Annotated[
    dict[str, RewardSettings], Field(min_length=1), BeforeValidator(_spelled_out), PlainSerializer(_as_written)
]


class GrpoSettings(Section):
    """Reinforcement stage: group-relative policy optimisation with verifiable rewards."""

    model: str | None = Field(default=None, description="default: <run.dir>/sft/model")
    rated: Path | None = Field(default=None, description="default: <run.dir>/rated.jsonl")
    rewards: Rewards = Field(
        default={"more_r1": RewardSettings(weight=1.0)},
        description="a preset's name, or part -> weight or {weight or stages, gate}; names: morerl.rewards",
    )
    rewards_of: dict[str, Rewards] | None = Field(
        default=None,
        description="instead of `rewards`, which it overrules: every corpus of data.corpora -> what `rewards` takes",
    )
    second_stage: float | None = Field(
        default=None, gt=0.0, description="where weights change: below 1 a share of the run's steps, else a step"
    )
    length_threshold: int = Field(default=1024, ge=0, description="characters of reasoning that earn `length`")
    overlong_buffer: float = Field(
        default=0.2, gt=0.0, le=1.0, description="last share of trainer.max_completion_length; there `overlong` grows"
    )
    mixing: MixingSettings = MixingSettings()
    dev: DevSettings = DevSettings()
    trainer: dict[str, Any] = Field(default={}, description="trl.GRPOConfig, untouched")

    @model_validator(mode="after")
    def _whole_step(self) -> GrpoSettings:
        if self.second_stage is not None and self.second_stage > 1 and self.second_stage % 1:
            raise ValueError("second_stage: a share of the run is below 1, a step is a whole number")
        return self
