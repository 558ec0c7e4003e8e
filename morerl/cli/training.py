"""The verbs that make a model and let it answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from morerl.bars import demo_bars, sample_bar, training_bar
from morerl.cli.options import Config, Overrides, settings, usage
from morerl.runs import read_json
from morerl.terminal import one_message, say, show_before_after, trained

DEMO = Path("configs/scenes/demo.yaml")


def sft(config: Config, overrides: Overrides = None) -> None:
    """Supervised stage: learn the reasoning in `<run.dir>/reasoning.jsonl`.

    Writes `<run.dir>/sft/model`, the checkpoint with the best greedy dev score.
    """
    with one_message():
        run = settings(config, overrides)
        from morerl.training.sft import run_sft

        with training_bar("sft") as listener:
            result = run_sft(run, listener=listener)
        say(trained("sft", result))


def rate(config: Config, overrides: Overrides = None) -> None:
    """Difficulty: let the SFT model answer the train samples it has not seen.

    Writes `<run.dir>/rated.jsonl`.
    """
    with one_message():
        run = settings(config, overrides)
        from morerl.inference import run_rate

        with sample_bar("rate") as listener:
            result = run_rate(run, listener=listener)
        say(
            f"rated {result['rated']} samples: {result['easy']} easy, {result['hard']} hard ({result['seconds']:.0f} s)"
        )


def grpo(config: Config, overrides: Overrides = None) -> None:
    """Reinforcement stage: GRPO on a scheduled mix of easy and hard samples.

    Writes `<run.dir>/grpo/model`, the checkpoint with the best greedy dev score.
    """
    with one_message():
        run = settings(config, overrides)
        from morerl.training.grpo import run_grpo

        with training_bar("grpo") as listener:
            result = run_grpo(run, listener=listener)
        say(trained("grpo", result))


def predict(config: Config, overrides: Overrides = None) -> None:
    """Answer a split: predict.split (default test) with predict.model (default: the latest stage's).

    Writes `<run.dir>/predictions/<stage>.<split>.jsonl`, or predict.out; of several corpora a file each.
    """
    with one_message():
        run = settings(config, overrides)
        from morerl.inference import run_predict

        with sample_bar("predict") as listener:
            files = run_predict(run, listener=listener)
        say(f"wrote {', '.join(map(str, files))}")


def export(
    model: Annotated[Path, typer.Argument(help="a run's folder, or its `<stage>/model`", show_default=False)],
    out: Annotated[Path, typer.Option(help="the folder to write; new or empty", show_default=False)],
) -> None:
    """Make a trained model ready to serve and to share: one folder, with everything it takes to ask it.

    A LoRA adapter is merged into its base. Beside safetensors and processor lie the guideline, morerl.yaml (how it is
    asked) and README.md, a model card with figures, data and settings. A run's folder stands for its latest stage.
    """
    with one_message():
        from morerl.export import export_model

        say(f"wrote {export_model(model, out)}")


def demo(
    config: Annotated[Path, typer.Argument(help="the demo's YAML")] = DEMO,
    overrides: Overrides = None,
) -> None:
    """The whole method on the embedded default: draw, teach, sft, rate, grpo, predict, score, report."""
    with one_message():
        if config == DEMO and not config.is_file():
            raise usage(f"there is no {DEMO} here: run it in a checkout, or give the path of the config")
        run = settings(config, overrides)
        from morerl.demo import run_demo

        with demo_bars() as listener:
            result = run_demo(run, listener=listener)
        for stage in ("sft", "grpo"):
            say(trained(stage, read_json(run.run.dir / stage / "done.json")))
        show_before_after(result)
