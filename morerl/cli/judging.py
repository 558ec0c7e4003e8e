"""The verbs that judge: inputs before a run, answers after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morerl.bars import demo_bars
from morerl.cli.options import Overrides, settings, usage
from morerl.terminal import one_message, say, show_comparison, show_findings, show_metrics, show_table

if TYPE_CHECKING:
    from morerl.settings import Settings

Gold = Annotated[Path | None, typer.Option(help="samples with their gold answers (samples.jsonl)")]
Protocol = Annotated[str | None, typer.Option(help="default: the guideline's own")]
Guidelines = Annotated[
    str | None, typer.Option(help="a packaged name or a YAML file; default: the corpus's, else the labels of the gold")
]


def check(
    config: Annotated[Path | None, typer.Argument(help="the run's YAML; or --guidelines and --samples")] = None,
    overrides: Overrides = None,
    guidelines: Guidelines = None,
    samples: Annotated[list[Path] | None, typer.Option(help="samples.jsonl; may be given several times")] = None,
    image_root: Annotated[Path | None, typer.Option(help="folder that image paths are relative to")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="then run every stage, tiny, for two steps")] = False,
) -> None:
    """Check a run before it costs anything: settings, guidelines, samples, pictures, prompt lengths.

    Every gold answer is rendered, parsed and scored; it must come back right. Exit code 2 on a problem.

    --dry-run goes on from there: SFT, rate, GRPO, predict and score for two steps each with the embedded tiny model on
    a few of the run's samples, in RUN.DIR/dry-run, which is removed; under `accelerate launch` on every rank.

    A task of your own, before there is a run: `morerl check --guidelines mine.yaml --samples samples.jsonl` goes
    through the guideline and every sample, and names everything that is wrong.
    """
    with one_message():
        if config is not None:
            _alone(guidelines=guidelines, samples=samples, image_root=image_root)
            _check_run(settings(config, overrides), dry_run)
            return
        from morerl.task_check import check_task

        if guidelines is None or not samples or dry_run:
            raise usage("morerl check needs a run's YAML, or --guidelines and --samples (and then no --dry-run)")
        show_findings(check_task(guidelines, samples, image_root))


def _check_run(run: Settings, dry_run: bool) -> None:
    from morerl.check import run_check

    for line in run_check(run):
        say(line)
    if dry_run:
        from morerl.dry_run import run_dry

        for line in run_dry(run):
            say(line)


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

    Of a run: `morerl score CONFIG` reads what `predict` wrote and writes a .metrics.json beside it, one a corpus. Of
    any files: `morerl score --gold samples.jsonl --pred predictions.jsonl --protocol scier --out metrics.json`.

    Every sample needs a prediction; a completion that cannot be parsed is wrong, and counted by its problem. The
    protocols are more, sem2010, r1_re, scier, ner and ner_blog; metrics.json says what each counts.
    """
    with one_message():
        if config is not None:
            _alone(gold=gold, pred=pred, protocol=protocol, guidelines=guidelines, out=out)
            from morerl.inference import score_run

            scored = score_run(settings(config, overrides), draws=draws)
        else:
            from morerl.evaluation import score_files

            if gold is None or pred is None:
                raise usage("morerl score needs a run's YAML, or --gold and --pred")
            scored = [(out, score_files(gold, pred, guidelines, out, protocol=protocol, draws=draws))]
        for written, metrics in scored:
            show_metrics(metrics)
            if written is not None:
                say(f"wrote {written}")


def compare(
    a: Annotated[Path, typer.Argument(help="predictions.jsonl, its .metrics.json, or a run's folder")],
    b: Annotated[Path, typer.Argument(help="the same of the other model")],
    gold: Gold = None,
    protocol: Protocol = None,
    guidelines: Guidelines = None,
    figure: Annotated[str | None, typer.Option(help="default: the protocol's primary figure")] = None,
    draws: Annotated[
        int | None, typer.Option(min=1, help="resamplings for interval and p (the least is 1 / draws); default: 2000")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="write the comparison here (JSON)")] = None,
) -> None:
    """Compare two models on the same samples: is the difference more than chance?

    The interval of the difference is a paired bootstrap over samples, p a paired randomisation test; of several
    completions a sample the first counts. What --gold, --protocol and --guidelines leave out is taken from the
    .metrics.json beside the predictions.
    """
    with one_message():
        from morerl.comparison import compare_runs
        from morerl.jsonl import write_json
        from morerl.scoring.compare import DRAWS

        for path in (a, b):
            if not path.exists():
                raise usage(f"no file {path}, nor a run's folder of that name")
        draws = DRAWS if draws is None else draws
        result = compare_runs(a, b, gold=gold, guidelines=guidelines, protocol=protocol, figure=figure, draws=draws)
        show_comparison(result)
        if out is not None:
            write_json(out, result.model_dump(mode="json"))
            say(f"wrote {out}")


def report(
    run_dir: Annotated[Path, typer.Argument(help="a run's folder (run.dir)", show_default=False)],
    against: Annotated[Path | None, typer.Option(help="another run's folder, to lay beside it")] = None,
    out: Annotated[Path | None, typer.Option(help="default: RUN_DIR/report.html, or against-OTHER.html there")] = None,
    image_root: Annotated[Path | None, typer.Option(help="where the pictures are, if not at data.image_root")] = None,
    inspect: Annotated[Path | None, typer.Option(help="write an inspect-ai log instead, a .eval file")] = None,
) -> None:
    """Look at a run: one HTML file that opens offline, with figures, curves and a browser of samples.

    Everything in the folder that can be read is shown, and what cannot is named. With --against the last stages of
    two runs stand side by side: paired difference, curves overlaid, samples that flipped. With --inspect the latest
    stage's test predictions become a log for `inspect view` (the extra `inspect`).
    """
    with one_message():
        if inspect is not None:
            if against is not None or out is not None or image_root is not None:
                raise usage("--inspect writes one run's log to the file it names; leave out the other options")
            from morerl.report.inspect_log import write_inspect

            count = write_inspect(run_dir, inspect)
            say(f"wrote {inspect} ({count} samples); look: inspect view --log-dir {inspect.parent}")
            return
        from morerl.report import write_report

        name = "report.html" if against is None else f"against-{against.resolve().name}.html"
        out = out or run_dir / name
        write_report(run_dir, out, against=against, image_root=image_root)
        say(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")


def benchmark(
    model: Annotated[str, typer.Argument(help="folder or hub id; with --endpoint the model's name there")],
    overrides: Overrides = None,
    corpora: Annotated[str, typer.Option(help="comma-separated: folders of --data, e.g. more,scier,sem2010")] = "",
    endpoint: Annotated[str | None, typer.Option(help="an OpenAI-compatible server: http://127.0.0.1:8000/v1")] = None,
    data: Annotated[Path, typer.Option(help="holds CORPUS/test.jsonl (tools/prepare_corpus.py)")] = Path("data"),
    out: Annotated[Path, typer.Option(help="folder for predictions, figures and the table")] = Path("benchmark"),
    split: Annotated[str, typer.Option(help="the split to answer")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="only the first N samples of each, for a try")] = None,
) -> None:
    """Predict and score many corpora in one go: one table, with the published figures beside yours.

    `morerl benchmark runs/x/grpo/model --corpora more,sem2010`. Each published row says whether it is comparable, and
    why. A model in a run's folder is asked with that run's prompt; overrides such as generate.max_new_tokens=512 come
    last. What was answered before with the same settings is not asked again. Writes table.md, table.json, table.png.
    """
    with one_message():
        from morerl.benchmark.run import run_benchmark

        names = [name.strip() for name in corpora.split(",") if name.strip()]
        if not names:
            raise usage("--corpora names no corpus, e.g. --corpora more,scier,sem2010")
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
        show_table(written.table)
        say(f"wrote {', '.join(map(str, written.files))}")
        if written.problem:
            say(written.problem)


def _alone(**options: object) -> None:
    """Refuses options beside a run's YAML, which says all of that itself."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise usage(f"{', '.join(given)}: for files of your own; beside a run's YAML override its settings instead")
