"""What the sections of the settings share: their base, and the dev score of both training stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Section(BaseModel):
    """Base of every section: immutable; unknown keys, and numbers that are none or without end, are refused.

    In a path ~ stands for the user's home, as in a shell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _from_home(cls, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(one.expanduser() if isinstance(one, Path) else one for one in value)
            return value.expanduser() if isinstance(value, Path) else value
        except RuntimeError as error:  # ~nobody
            raise ValueError(str(error)) from error


class DevSettings(Section):
    """The greedy dev score that chooses the checkpoint."""

    every_steps: int = Field(default=50, ge=1, description="optimizer steps between two dev scores")
    limit: int | None = Field(default=None, ge=1, description="dev samples used of a corpus; null: all")
