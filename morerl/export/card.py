"""The model card: the Hub's YAML header and a page for people, both from the files of the run.

Source of the header's fields: the Hub's model card specification (https://huggingface.co/docs/hub/model-cards), as
huggingface_hub writes it. The licence is left out on purpose: the run does not know it.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from morerl.data_settings import ALONE
from morerl.export.facts import Scored, base_model, files_read, is_hub_id, public, scored, training
from morerl.export.source import Source
from morerl.guidelines import load_spec
from morerl.schema import Metrics
from morerl.settings import ImageSettings
from morerl.task import TaskSpec

HERE = Path(__file__).parent
HOW = {"sft": "SFT", "grpo": "GRPO with verifiable rewards"}
KINDS = ("accuracy", "precision", "recall")  # of a figure, by its name; else it is an F1


def write_card(source: Source, out: Path, name: str, *, pictures: bool) -> None:
    """Writes README.md into `out`, a folder to be called `name`. Raises DataError for figures that cannot be read."""
    specs = {key: load_spec(one.guidelines) for key, one in source.settings.data.each.items()}
    called = {key: spec.corpus if key == ALONE else key for key, spec in specs.items()}
    found = scored(source, called)
    header = _header(source, found, sorted(set(called.values())), name, pictures=pictures)
    page = _page(source, found, {called[key]: spec for key, spec in specs.items()}, name, pictures=pictures)
    # lone surrogates can enter by JSON's escapes and have no UTF-8 form
    (out / "README.md").write_bytes(f"---\n{header}\n---\n\n{page}\n".encode("utf-8", "replace"))


def _header(source: Source, found: list[Scored], corpora: list[str], name: str, *, pictures: bool) -> str:
    from huggingface_hub import ModelCardData

    task = "image-text-to-text" if pictures else "text-generation"
    results = [_result(one, task) for one in found]
    base = base_model(source)
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=task,
        base_model=base if base and is_hub_id(base) else None,
        datasets=corpora,
        metrics=sorted({one.metric_type for one in results}) or None,
        tags=["morerl", "relation-extraction", "reasoning"],
        model_name=name if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()


def _result(one: Scored, task: str) -> Any:
    from huggingface_hub import EvalResult

    figure = str(one.metrics.primary["name"])
    return EvalResult(
        task_type=task,
        dataset_type=one.corpus,
        dataset_name=one.corpus,
        dataset_split=one.split,
        metric_type=next((kind for kind in KINDS if kind in figure), "f1"),
        metric_name=f"{figure} ({one.metrics.protocol})",
        metric_value=round(float(one.metrics.primary["value"]), 2),
    )


def _page(source: Source, found: list[Scored], specs: dict[str, TaskSpec], name: str, *, pictures: bool) -> str:
    settings, stages = source.settings, training(source)
    several = settings.data.corpora is not None
    return _template().render(
        name=name,
        quoted=shlex.quote(name),
        origin=base_model(source) or "A Qwen2.5-VL of random weights",
        how=", then ".join(HOW.get(stage.name, stage.name) for stage in stages) or "it is not known how",
        specs=specs,
        guidelines=[f"guidelines/{corpus}.yaml" for corpus in specs] if several else ["guidelines.yaml"],
        pictures=pictures,
        images=_most_pictures(settings.images),
        scored=found,
        protocols={one.metrics.protocol: one.metrics.about for one in found},
        stages=stages,
        files=files_read(source, stages, found),
        settings=yaml.safe_dump(public(settings), sort_keys=False, allow_unicode=True),
    )


def _most_pictures(images: ImageSettings) -> int:
    """Pictures that a question may show: the whole one, and a crop each of head and tail."""
    return sum(1 if view == "full" else 2 for view in images.views)


def _template() -> Any:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"line": _line, "figures": figures, "versions": _versions}
    return environment.get_template("card.md.jinja")


def _line(text: str) -> str:
    """Data as one line of a table or a quote, that opens no markup."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def figures(metrics: Metrics) -> list[tuple[str, float, tuple[float, float] | None]]:
    """(name, value, interval) of the official figure, then of the others; those of groups of samples are left out."""
    first = str(metrics.primary["name"])
    values = {first: float(metrics.primary["value"])} | metrics.figures
    return [(name, value, metrics.ci95.get(name)) for name, value in values.items() if "/" not in name]
