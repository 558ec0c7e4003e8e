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
    show_comparison,
    show_metrics,
    show_table,
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


Gold = Annotated[Path | None, typer.Option(help="samples with their gold answers (samples.jsonl)")]
Protocol = Annotated[str | None, typer.Option(help="default: the guideline's own")]
Guidelines = Annotated[
    str | None, typer.Option(help="a packaged name or a YAML file; default: the corpus's, else the labels of the gold")
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
def score(
    config: Annotated[Path | None, typer.Argument(help="the run's YAML; or --gold and --pred")] = None,
    overrides: Overrides = None,
    gold: Gold = None,
    pred: Annotated[Path | None, typer.Option(help="predictions: an id and its completions a line")] = None,
    protocol: Protocol = None,
    guidelines: Guidelines = None,
    out: Annotated[Path | None, typer.Option(help="write the figures here (metrics.json)")] = None,
    draws: Annotated[int, typer.Option(min=0, help="bootstrap resamplings for the intervals; 0: none")] = 1000,
) -> None:
    """Score predictions by a corpus's official protocol.

    Of a run: `morerl score CONFIG` reads what `predict` wrote and writes a .metrics.json beside it. Of any files:
    `morerl score --gold samples.jsonl --pred predictions.jsonl --protocol scier --out metrics.json`.

    Every sample needs a prediction; a completion that cannot be parsed is wrong, and counted by its problem. The
    protocols are more, sem2010, r1_re, scier, ner and ner_blog; metrics.json says what each counts.
    """
    with one_message():
        if config is not None:
            from morerl.inference import score_run

            out, metrics = score_run(_settings(config, overrides))
        else:
            from morerl.evaluation import score_files

            if gold is None or pred is None:
                raise _usage("morerl score needs a run's YAML, or --gold and --pred")
            metrics = score_files(gold, pred, guidelines, out, protocol=protocol, draws=draws)
        show_metrics(metrics)
        if out is not None:
            say(f"wrote {out}")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="predictions.jsonl, its .metrics.json, or a run's folder")],
    b: Annotated[Path, typer.Argument(help="the same of the other model")],
    gold: Gold = None,
    protocol: Protocol = None,
    guidelines: Guidelines = None,
    figure: Annotated[str | None, typer.Option(help="default: the protocol's primary figure")] = None,
    out: Annotated[Path | None, typer.Option(help="write the comparison here (JSON)")] = None,
) -> None:
    """Compare two models on the same samples: is the difference more than chance?

    The interval of the difference is a paired bootstrap over samples, p a paired randomisation test. What --gold,
    --protocol and --guidelines leave out is taken from the .metrics.json beside the predictions.
    """
    with one_message():
        from morerl.evaluation import compare_runs
        from morerl.jsonl import write_json

        result = compare_runs(a, b, gold=gold, guidelines=guidelines, protocol=protocol, figure=figure)
        show_comparison(result)
        if out is not None:
            write_json(out, result.model_dump(mode="json"))
            say(f"wrote {out}")


@app.command()
def benchmark(
    model: Annotated[str, typer.Argument(help="folder or hub id; with --endpoint the model's name there")],
    overrides: Overrides = None,
    corpora: Annotated[str, typer.Option(help="comma-separated: folders of --data, e.g. more,scier,sem2010")] = "",
    endpoint: Annotated[str | None, typer.Option(help="an OpenAI-compatible server: http://127.0.0.1:8000/v1")] = None,
    data: Annotated[Path, typer.Option(help="holds <corpus>/test.jsonl (tools/prepare_corpus.py)")] = Path("data"),
    out: Annotated[Path, typer.Option(help="folder for predictions, figures and the table")] = Path("benchmark"),
    split: Annotated[str, typer.Option(help="the split to answer")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="only the first N samples of each, for a try")] = None,
) -> None:
    """Predict and score many corpora in one go: one table, with the published figures beside yours.

    `morerl benchmark runs/x/grpo/model --corpora more,sem2010`. Each published row says whether it is comparable, and why. A
    model in a run's folder is asked with that run's prompt; overrides such as generate.max_new_tokens=512 come last. What was
    answered before with the same settings is not asked again. Writes table.md, table.json and table.png.
    """
    with one_message():
        from morerl.benchmark.run import run_benchmark

        names = [name.strip() for name in corpora.split(",") if name.strip()]
        if not names:
            raise _usage("--corpora names no corpus, e.g. --corpora more,scier,sem2010")
        with demo_bars() as bars:
            written = run_benchmark(
                model,
                names,
                data=data,
                out=out,
                endpoint=endpoint,
                split=split,
                limit=limit,
                overrides=overrides or [],
                listener=lambda corpus, done, total: bars(corpus, done, total, {}),
            )
        show_table(written.files[0])
        say(f"wrote {', '.join(map(str, written.files))}")
        if written.problem:
            say(written.problem)


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


def _usage(message: str) -> Exception:
    from morerl.errors import ConfigError

    return ConfigError(message)


def _settings(config: Path, overrides: list[str] | None) -> Settings:
    from morerl.config import load_settings

    return load_settings(config, overrides)


if __name__ == "__main__":
    main()
