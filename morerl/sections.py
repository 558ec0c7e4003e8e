"""What the sections of the settings share: their base, and the dev score of both training stages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Base of every section: immutable; unknown keys, and numbers that are none or without end, are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DevSettings(Section):
    """The greedy dev score that chooses the checkpoint."""

    every_steps: int = Field(default=50, ge=1, description="optimizer steps between two dev scores")
    limit: int | None = Field(default=None, ge=1, description="dev samples used of a corpus; null: all")
