"""The doors: verbs, progress bars, exit codes. No logic, and no torch import before a stage runs."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from click import ClickException

from morerl.errors import MorerlError

if TYPE_CHECKING:
    from morerl.config import Settings

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
    list[str] | None, typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="settings to override", show_default=False)
]


@app.command()
def sft(config: Config, overrides: Overrides = None) -> None:
    """Supervised stage: learn the reasoning in <run.dir>/reasoning.jsonl.

    Writes <run.dir>/sft/model, the checkpoint with the best greedy dev score.
    """
    from morerl.training.sft import run_sft

    with _training_bar("sft") as listener:
        result = run_sft(_settings(config, overrides), listener=listener)
    _say(_trained("sft", result))


@app.command()
def rate(config: Config, overrides: Overrides = None) -> None:
    """Difficulty: let the SFT model answer the train samples it has not seen.

    Writes <run.dir>/rated.jsonl.
    """
    from morerl.inference import run_rate

    with _sample_bar("rate") as listener:
        result = run_rate(_settings(config, overrides), listener=listener)
    _say(f"rated {result['rated']} samples: {result['easy']} easy, {result['hard']} hard ({result['seconds']:.0f} s)")


@app.command()
def grpo(config: Config, overrides: Overrides = None) -> None:
    """Reinforcement stage: GRPO on a scheduled mix of easy and hard samples.

    Writes <run.dir>/grpo/model, the checkpoint with the best greedy dev score.
    """
    from morerl.training.grpo import run_grpo

    with _training_bar("grpo") as listener:
        result = run_grpo(_settings(config, overrides), listener=listener)
    _say(_trained("grpo", result))


@app.command()
def predict(config: Config, overrides: Overrides = None) -> None:
    """Answer a split: predict.split (default test) with predict.model (default: the latest stage's).

    Writes <run.dir>/predictions/<stage>.<split>.jsonl, or predict.out.
    """
    from morerl.inference import run_predict

    with _sample_bar("predict") as listener:
        out = run_predict(_settings(config, overrides), listener=listener)
    _say(f"wrote {out}")


@app.command()
def score(config: Config, overrides: Overrides = None) -> None:
    """Score predictions by the corpus's official protocol.

    Reads what `predict` wrote for the same settings; writes a .metrics.json beside it and prints a table.
    """
    from morerl.inference import score_run

    out, metrics = score_run(_settings(config, overrides))
    _show_metrics(metrics)
    _say(f"wrote {out}")


@app.command()
def check(config: Config, overrides: Overrides = None) -> None:
    """Check a run before it costs anything: settings, guidelines, samples, pictures, prompt lengths.

    Every gold answer is rendered, parsed and scored; it must come back right. Exit code 2 on a problem.
    """
    from morerl.check import run_check

    for line in run_check(_settings(config, overrides)):
        _say(line)


@app.command()
def demo(
    config: Annotated[Path, typer.Argument(help="the demo's YAML")] = Path("configs/scenes/demo.yaml"),
    overrides: Overrides = None,
) -> None:
    """The whole method on the embedded default: draw, teach, sft, rate, grpo, predict, score, report."""
    from morerl.demo import run_demo

    with _demo_bars() as listener:
        result = run_demo(_settings(config, overrides), listener=listener)
    _show_before_after(result)


def main() -> None:
    """Runs the CLI. Exit codes: 0 well, 2 a problem the message explains, 130 interrupted."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        app(standalone_mode=False)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except MorerlError as error:
        _fail(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}. What was whole before is whole still; run the same command again "
              "once there is room and permission", 2)
    except ClickException as error:  # a mistyped verb or option; click says which
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; the same command goes on from the last checkpoint", 130)


def _settings(config: Path, overrides: list[str] | None) -> Settings:
    from morerl.config import load_settings

    return load_settings(config, overrides)


def _say(line: str) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(line, markup=False)


def _fail(message: str, code: int) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]error[/]", end=" ")
    console.print(message, markup=False)
    sys.exit(code)


def _is_first_rank() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return Progress(
        TextColumn("[bold]{task.description:<8}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True), disable=not _is_first_rank(),
    )


def _figures(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in figures.items())


@contextlib.contextmanager
def _training_bar(stage: str) -> Iterator[Callable[[int, int, dict[str, float]], object]]:
    with _progress() as progress:
        task = progress.add_task(stage, total=None, figures="")
        yield lambda done, total, figures: progress.update(
            task, completed=done, total=total, figures=_figures(figures)
        )


@contextlib.contextmanager
def _sample_bar(stage: str) -> Iterator[Callable[[int, int], object]]:
    with _training_bar(stage) as listener:
        yield lambda done, total: listener(done, total, {})


@contextlib.contextmanager
def _demo_bars() -> Iterator[Callable[[str, int, int, dict[str, float]], object]]:
    """One bar a stage, added when the stage first reports."""
    with _progress() as progress:
        tasks: dict[str, Any] = {}

        def listen(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, figures="")
            progress.update(tasks[stage], completed=done, total=total, figures=_figures(figures))

        yield listen


def _trained(stage: str, result: dict[str, Any]) -> str:
    best = result["dev"]
    return (f"{stage}: {result['steps']} steps in {result['seconds']:.0f} s; "
            f"kept step {best['step']} with dev {best['value']:.2f}")


def _show_metrics(metrics: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{metrics.protocol}, {metrics.n} samples, per cent", show_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    name = str(metrics.primary["name"])
    rows = {name: metrics.primary["value"], **{k: v for k, v in metrics.figures.items() if k != name}}
    for figure, value in rows.items():
        interval = metrics.ci95.get(figure)
        table.add_row(figure, f"{value:.2f}", f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "")
    for problem, count in metrics.problems.items():
        table.add_row(f"problem: {problem}", str(count), "")
    Console().print(table)


def _show_before_after(result: dict[str, Any]) -> None:
    for stage in ("sft", "grpo"):
        primary, interval = result[stage]["primary"], result[stage]["ci95"]
        low, high = interval[primary["name"]]
        _say(f"{stage:<5} test {primary['name']} {primary['value']:6.2f}   (95% interval {low:.2f} to {high:.2f})")
    seconds = sum(result["seconds"].values())
    _say(f"{seconds:.0f} s in all, {result['peak_memory_mb']:.0f} MB at the peak")
    _say(f"look at {result['report']}")


if __name__ == "__main__":
    main()
