"""One model on many corpora: predict, score, and one table with what others have published beside it.

Each model has its folder, <out>/<model>/<corpus>, with samples, predictions and metrics; the table holds every model
that was scored on the same split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from morerl.benchmark import Written, write_table
from morerl.benchmark.plan import Task, Wanted, plan
from morerl.benchmark.table import OurRow
from morerl.errors import ConfigError
from morerl.evaluation import score_files
from morerl.guidelines import guideline_file
from morerl.inference import run_predict
from morerl.jsonl import read_record, write_records
from morerl.runs import begin, finish, model_marks
from morerl.schema import Metrics

Listener = Callable[[str, int, int], object]


def run_benchmark(
    model: str,
    corpora: Sequence[str],
    *,
    data: Path,
    out: Path,
    endpoint: str | None = None,
    split: str = "test",
    limit: int | None = None,
    overrides: Sequence[str] = (),
    listener: Listener = lambda corpus, done, total: None,
) -> Written:
    """Answers <data>/<corpus>/<split>.jsonl for every corpus, scores it, and writes <out>/table.{md,json,png}.

    `model`: a folder or hub id, or the name it has at `endpoint`. A model in a run's folder is asked as that run's
    settings say, any other as the samples suggest; `overrides` (section.key=value) change either. What was answered
    with the same settings is not asked again. Models that were scored before in `out` on as many samples of the split
    are in the table too. Every corpus is checked before the first is answered. Raises MorerlError.
    """
    rows: list[OurRow] = []
    for task in plan(corpora, Wanted(model, data, out, endpoint, split, limit, overrides)):
        metrics = _answered(task, partial(listener, task.corpus))
        row = OurRow(corpus=task.corpus, model=model, metrics=metrics, split=split, limit=task.settings.data.limit)
        rows += [row, *_scored_before(row, task.settings.run.dir, out)]
    return write_table(rows, out)


def _answered(task: Task, listener: Callable[[int, int], object]) -> Metrics:
    """The metrics of the predictions, which are made unless they are there."""
    settings, samples = task.settings, task.samples
    folder, model = settings.run.dir, settings.predict.model or ""
    asked = folder / "samples.jsonl"
    try:
        done = begin(
            settings, "predict", [task.gold, guideline_file(str(settings.data.guidelines)), *model_marks(model)]
        )
    except ConfigError as error:  # whose advice is for a run of one's own
        what = str(error).partition("\nDelete ")[0]
        raise ConfigError(f"{what}\nGive another --out, or delete {folder} to have it answered anew.") from error
    write_records(asked, samples)
    out = settings.predict.out
    assert out is not None
    if done is None or not out.is_file():
        run_predict(settings, listener=listener, samples=samples)
        finish(settings, "predict", {"samples": len(samples)})
    split = settings.predict.split
    return score_files(asked, out, settings.data.guidelines, folder / "metrics.json", model=model, split=split)


def _scored_before(row: OurRow, own: Path, out: Path) -> list[OurRow]:
    """The rows of other models that were scored on the same corpus, split and number of samples."""
    files = [folder / row.corpus / "metrics.json" for folder in sorted(out.iterdir())]
    found = [read_record(path, Metrics) for path in files if path.parent != own and path.is_file()]
    alike = [one for one in found if _terms(one) == _terms(row.metrics)]
    return [row.model_copy(update={"model": str(one.settings.get("model")), "metrics": one}) for one in alike]


def _terms(metrics: Metrics) -> tuple[str, object, int]:
    return metrics.protocol, metrics.settings.get("split"), metrics.n
