"""What is to be exported: a model in a run's folder, with the settings that made it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from morerl.config import load_settings
from morerl.errors import ConfigError
from morerl.runs import EXPORTED, latest_model, settings_file
from morerl.settings import Settings


class Source(NamedTuple):
    """<run>/<stage>/model and the settings beside it."""

    model: Path
    settings: Settings

    @property
    def stage(self) -> str:
        """The stage that made the model, e.g. grpo."""
        return self.model.parent.name

    @property
    def run(self) -> Path:
        """The run's folder as it lies today; it may have been moved since its settings were written."""
        return self.model.parent.parent


def find_source(path: Path) -> Source:
    """The model of a run's folder (of its latest stage), or the very one that is named.

    Raises ConfigError where there is none, where it is exported already, and where no run's settings lie beside it.
    """
    model = path if _is_model(path) else latest_model(path)
    if not _is_model(model):
        raise ConfigError(
            f"{path} is neither a run's folder (it holds no grpo/model or sft/model) nor a model's "
            "(it holds no config.json or adapter_config.json)"
        )
    model = model.resolve()
    beside = settings_file(model)
    if beside is None:
        raise ConfigError(
            f"beside {model} lie no settings of a run (config.yaml), which say how it is asked: "
            "give a run's folder, or the model in <run.dir>/<stage>/model"
        )
    if beside.name == EXPORTED:
        raise ConfigError(f"{model} is exported already; give the run's folder to export it anew")
    return Source(model, load_settings(beside))


def _is_model(path: Path) -> bool:
    return any((path / name).is_file() for name in ("config.json", "adapter_config.json"))
