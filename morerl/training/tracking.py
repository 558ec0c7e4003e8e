"""Trackers (`trainer.report_to`) write below <run.dir>/tracking, unless their own environment variables say otherwise.

They get what TRL logs under TRL's names, as train/reward or train/rewards/answer/mean, and train/dev_f1. Nothing leaves
the machine but by a tracker that was asked to send it. trackio reads its folder once a process: a second run in the
same process writes to the first one's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from morerl.errors import ConfigError
from morerl.settings import Settings

PROJECT = "morerl"


@contextmanager
def tracked(settings: Settings, stage: str) -> Iterator[None]:
    """Inside, trackers of a stage find their folder; to be entered before TRL is imported, which imports them."""
    folder = settings.run.dir.resolve() / "tracking"
    ours = {
        "TENSORBOARD_LOGGING_DIR": str(folder / "tensorboard" / stage),
        "TRACKIO_DIR": str(folder / "trackio"),
        "WANDB_DIR": str(folder),
        "WANDB_PROJECT": PROJECT,
    }
    added = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def names(settings: Settings, stage: str) -> dict[str, str]:
    """What trackers call the run, so that one that goes on is one run: options of TRL's configs."""
    return {"project": PROJECT, "run_name": f"{settings.run.dir.resolve().name}-{stage}"}


def check_trackers(report_to: Any) -> None:
    """Raises ConfigError for a tracker that transformers does not know or that is not installed."""
    from transformers.integrations import get_reporting_integration_callbacks

    try:
        for callback in get_reporting_integration_callbacks(report_to):
            callback()
    except (ImportError, RuntimeError, ValueError) as error:
        raise ConfigError(f"trainer.report_to: {error}") from error
