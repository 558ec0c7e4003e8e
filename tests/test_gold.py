"""Gold scores 100 through render, parse and score: every sample of every split of every corpus that is at hand."""

from pathlib import Path

import pytest

from morerl.corpora import bio, more, mrc, scier, sem2010
from morerl.guidelines import load_spec
from morerl.prompts.parse import parse
from morerl.prompts.render import render_gold, template_of
from morerl.schema import Sample
from morerl.scoring import Tally
from morerl.settings import PromptSettings

SHARED = Path(__file__).parents[1].parent / "shared/data"
DATA = Path(__file__).parent / "data"
CORPORA = [
    ("more", more, DATA / "more/release"),
    ("mnre", more, DATA / "more/mnre"),
    ("umre", more, DATA / "more/umre"),
    ("scier", scier, DATA / "scier"),
    ("conll2003", bio, DATA / "bio/conll"),
    ("conll2003", mrc, DATA / "mrc"),
    ("scier", scier, SHARED / "scier"),
    ("sem2010", sem2010, SHARED / "sem2010"),
    ("wnut17", bio, SHARED / "wnut17"),
    ("crossner_ai", bio, SHARED / "crossner/ai"),
    ("crossner_science", bio, SHARED / "crossner/science"),
]


@pytest.mark.parametrize(("name", "reader", "raw"), CORPORA, ids=lambda value: getattr(value, "name", None))
def test_every_gold_answer_comes_back_and_scores_100(name, reader, raw):
    if not raw.is_dir():
        pytest.skip(f"needs the corpus {name} beside the repository")
    spec, prompt = load_spec(name), PromptSettings()
    for split in reader.splits(raw):
        tally, samples = Tally(spec), [row for row in reader.read(raw, split, corpus=name) if isinstance(row, Sample)]
        for sample in samples:
            parsed = parse(render_gold(sample, template_of(sample, prompt)), spec, sample)
            assert parsed.problems == () and parsed.well_formed, sample.id
            tally.add(sample, [parsed.answer])
        metrics = tally.metrics(draws=0)
        figures = metrics.figures | {metrics.primary["name"]: metrics.primary["value"]}
        assert metrics.n == len(samples) > 0 and figures.pop("unparseable") == 0
        partial = ("macro", "several", "one", "strict")  # of labels or groups that do not occur; of nested entities
        whole = {key: value for key, value in figures.items() if key.partition("_")[0] not in partial}
        absent = not any(sample.gold.label != spec.none for sample in samples) if spec.none else False
        assert absent or set(whole.values()) == {100.0}, whole
        assert all(row == {gold: sum(row.values())} for gold, row in metrics.confusion.items())


def test_it_is_done_on_the_wire_too(tmp_path):
    """The same through files: predictions.jsonl of rendered gold, scored by the file scorer."""
    from morerl.evaluation import score_files
    from morerl.jsonl import write_records
    from morerl.schema import Prediction

    for name, reader, raw in CORPORA[:6]:
        samples = [row for row in reader.read(raw, reader.splits(raw)[0], corpus=name) if isinstance(row, Sample)]
        write_records(tmp_path / "gold.jsonl", samples)
        write_records(
            tmp_path / "pred.jsonl", (Prediction(id=one.id, completions=(render_gold(one),)) for one in samples)
        )
        metrics = score_files(tmp_path / "gold.jsonl", tmp_path / "pred.jsonl", draws=0)
        assert metrics.problems == {} and metrics.n == len(samples)
        assert metrics.primary["value"] in (0.0, 100.0) and set(metrics.errors) <= {"right", "right_none"}
