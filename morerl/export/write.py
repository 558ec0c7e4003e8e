"""The exported folder, whole or not there: everything is written beside it, then moved into its place."""

from __future__ import annotations

import shutil
from pathlib import Path

from morerl.errors import ConfigError
from morerl.export.card import write_card
from morerl.export.settings import write_asked
from morerl.export.source import find_source
from morerl.export.weights import write_model
from morerl.runs import model_marks
from morerl.training.checkpoint import commit, prepare


def export_model(path: Path, out: Path) -> Path:
    """Writes the model of a run's folder, or the one named, into the folder `out`; returns `out`.

    Weights as safetensors with an adapter merged in, processor, guideline, morerl.yaml and README.md. Raises
    ConfigError or DataError for what cannot be exported, and for an `out` that holds anything; then nothing is left.
    """
    source = find_source(path)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already and not empty: give another --out, or remove it")
    out = out.resolve()
    if not out.name.isprintable():
        raise ConfigError(f"{str(out)!r} cannot be the name of a model; give another --out")
    aside = prepare(out)
    try:
        pictures = write_model(source.model, aside, source.settings.model)
        write_asked(source.settings, aside, out.name)
        write_card(source, aside, out.name, pictures=pictures)
        for mark in model_marks(source.model):
            shutil.copyfile(mark, aside / mark.name)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    commit(out)
    return out
