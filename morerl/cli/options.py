"""What verbs share: a run's YAML with its overrides, and a usage error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from morerl.settings import Settings

Config = Annotated[Path, typer.Argument(help="the run's YAML, e.g. configs/sem2010/tiny.yaml", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="settings to override", show_default=False),
]


def settings(config: Path, overrides: list[str] | None) -> Settings:
    """The run's settings. Raises ConfigError."""
    from morerl.config import load_settings

    return load_settings(config, overrides)


def usage(message: str) -> Exception:
    """What to raise where the arguments do not say enough."""
    from morerl.errors import ConfigError

    return ConfigError(message)
