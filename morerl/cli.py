"""The doors: verbs, progress bars, exit codes. No logic, and no torch import before a stage runs."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morerl.terminal import (
    demo_bars,
    one_message,
    sample_bar,
    say,
    show_before_after,
    show_metrics,
    trained,
    training_bar,
)

if TYPE_CHECKING:
    from morerl.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Train and run vision-language models that say, with reasons, how things in a picture and a
text are related.

A run is one YAML file. The stages meet in files below its `run.dir`, in this order:

`tools/build_reasoning.py` → **sft** → **rate** → **grpo** → **predict** → **score**

Any setting can be overridden: `morerl sft configs/more/qwen2_5_vl_7b.yaml run.seed=1 sft.trainer.learning_rate=5e-5`.
On many GPUs: `accelerate launch --config_file configs/accelerate/ddp.yaml -m morerl grpo CONFIG`.
A stage that was interrupted goes on where it was when the same command is given again.""",
)

Config = Annotated[Path, typer.Argument(help="the run's YAML, e.g. configs/sem2010/tiny.yaml", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="settings to override", show_default=False),
]


@app.command()
def sft(config: Config, overrides: Overrides = None) -> None:
    """Supervised stage: learn the reasoning in <run.dir>/reasoning.jsonl.

    Writes <run.dir>/sft/model, the checkpoint with the best greedy dev score.
    """
    with one_message():
        from morerl.training.sft import run_sft

        with training_bar("sft") as listener:
            result = run_sft(_settings(config, overrides), listener=listener)
        say(trained("sft", result))


@app.command()
def rate(config: Config, overrides: Overrides = None) -> None:
    """Difficulty: let the SFT model answer the train samples it has not seen.

    Writes <run.dir>/rated.jsonl.
    """
    with one_message():
        from morerl.inference import run_rate

        with sample_bar("rate") as listener:
            result = run_rate(_settings(config, overrides), listener=listener)
        say(
            f"rated {result['rated']} samples: {result['easy']} easy, {result['hard']} hard ({result['seconds']:.0f} s)"
        )


@app.command()
def grpo(config: Config, overrides: Overrides = None) -> None:
    """Reinforcement stage: GRPO on a scheduled mix of easy and hard samples.

    Writes <run.dir>/grpo/model, the checkpoint with the best greedy dev score.
    """
    with one_message():
        from morerl.training.grpo import run_grpo

        with training_bar("grpo") as listener:
            result = run_grpo(_settings(config, overrides), listener=listener)
        say(trained("grpo", result))


@app.command()
def predict(config: Config, overrides: Overrides = None) -> None:
    """Answer a split: predict.split (default test) with predict.model (default: the latest stage's).

    Writes <run.dir>/predictions/<stage>.<split>.jsonl, or predict.out.
    """
    with one_message():
        from morerl.inference import run_predict

        with sample_bar("predict") as listener:
            out = run_predict(_settings(config, overrides), listener=listener)
        say(f"wrote {out}")


@app.command()
def score(config: Config, overrides: Overrides = None) -> None:
    """Score predictions by the corpus's official protocol.

    Reads what `predict` wrote for the same settings; writes a .metrics.json beside it and prints a table.
    """
    with one_message():
        from morerl.inference import score_run

        out, metrics = score_run(_settings(config, overrides))
        show_metrics(metrics)
        say(f"wrote {out}")


@app.command()
def check(config: Config, overrides: Overrides = None) -> None:
    """Check a run before it costs anything: settings, guidelines, samples, pictures, prompt lengths.

    Every gold answer is rendered, parsed and scored; it must come back right. Exit code 2 on a problem.
    """
    with one_message():
        from morerl.check import run_check

        for line in run_check(_settings(config, overrides)):
            say(line)


@app.command()
def demo(
    config: Annotated[Path, typer.Argument(help="the demo's YAML")] = Path("configs/scenes/demo.yaml"),
    overrides: Overrides = None,
) -> None:
    """The whole method on the embedded default: draw, teach, sft, rate, grpo, predict, score, report."""
    with one_message():
        from morerl.demo import run_demo

        with demo_bars() as listener:
            result = run_demo(_settings(config, overrides), listener=listener)
        show_before_after(result)


def main() -> None:
    """Runs the CLI. Exit codes: 0 well, 2 a problem the message explains, 130 interrupted."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    # transformers and TRL warn each other of options that neither the user nor morerl set
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    app()


def _settings(config: Path, overrides: list[str] | None) -> Settings:
    from morerl.config import load_settings

    return load_settings(config, overrides)


if __name__ == "__main__":
    main()
