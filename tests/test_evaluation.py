"""Files of predictions: joined with their samples as they are read, scored by any protocol, compared in pairs."""

import json
import random
import subprocess
import sys
import time
import tracemalloc

import pytest
from typer.testing import CliRunner

from morerl.cli import app
from morerl.comparison import compare_runs
from morerl.errors import ConfigError, DataError
from morerl.evaluation import score_files, side_by_side, task_of
from morerl.guidelines import load_spec
from morerl.jsonl import write_records
from morerl.prompts.render import render_completion, render_gold
from morerl.rewards.parts import Terms, reward
from morerl.runs import metrics_file
from morerl.schema import Metrics, Prediction, Sample

MORE = load_spec("more")


def pair(number, label="none", corpus="more"):
    mentions = [{"id": "m0", "start": 0, "end": 1, "text": "a"}, {"id": "m1", "start": 2, "end": 3, "text": "b"}]
    fields = {"text": "a b", "mentions": mentions, "head": "m0", "tail": "m1", "gold": {"label": label}}
    return Sample.model_validate({"id": f"s{number}", "corpus": corpus, "split": "test", **fields})


def named(number, corpus="wnut17", type_="person"):
    gold = {"entities": [{"id": "e", "start": 0, "end": 3, "text": "Ana", "type": type_}]}
    fields = {"text": "Ana sings", "task": "entities", "gold": gold}
    return Sample.model_validate({"id": f"s{number}", "corpus": corpus, "split": "test", **fields})


def written(folder, samples, completions, name="pred.jsonl"):
    """gold.jsonl and predictions; `completions` are lists of texts in the order of the samples."""
    write_records(folder / "gold.jsonl", samples)
    rows = (Prediction(id=one.id, completions=tuple(texts)) for one, texts in zip(samples, completions, strict=True))
    write_records(folder / name, rows)
    return folder / "gold.jsonl", folder / name


def test_files_in_any_order_are_joined(tmp_path):
    samples = [pair(number) for number in range(50)]
    gold, pred = written(tmp_path, samples, [[str(number)] for number in range(50)])
    lines = pred.read_text().splitlines()
    random.Random(0).shuffle(lines)
    pred.write_text("\n".join(lines) + "\n")
    assert [(one.id, texts) for one, texts in side_by_side(gold, pred)] == [(f"s{n}", (str(n),)) for n in range(50)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "1 samples of .* have no prediction .*'s0'"),
        (lambda lines: [*lines, '{"id": "s9", "completions": []}'], "1 predictions of .* have no sample .*'s9'"),
        (lambda lines: [*lines, lines[2]], "two predictions for 's2'"),
        (lambda lines: [*lines[:2], "{"], r"pred.jsonl:3: "),
    ],
)
def test_what_does_not_fit_together_is_said(tmp_path, change, message):
    gold, pred = written(tmp_path, [pair(number) for number in range(3)], [["x"]] * 3)
    pred.write_text("\n".join(change(pred.read_text().splitlines())) + "\n")
    with pytest.raises(DataError, match=message):
        score_files(gold, pred)


def test_only_id_and_completions_are_read_of_a_prediction(tmp_path):
    gold, pred = written(tmp_path, [pair(0, "/per/misc/party")], [["x"]])
    row = {
        "id": "s0",
        "completions": [render_completion("-", "/per/misc/party")],
        "answer": {"odd": 1},
        "logprobs": [1],
    }
    pred.write_text(json.dumps(row | {"problems": ["no_answer_tag"]}) + "\n")
    assert score_files(gold, pred, draws=0).primary == {"name": "micro_f1", "value": 100.0}


def test_no_completion_and_an_empty_one_are_wrong_and_counted(tmp_path):
    samples = [pair(number, "/per/misc/party") for number in range(3)]
    with pytest.raises(DataError, match="s1 has 2 completions, others have 1; want"):
        score_files(*written(tmp_path, samples, [[""], ["", ""], ["", ""]]))
    right = render_gold(samples[2])
    metrics = score_files(*written(tmp_path, samples, [[], ["", right, right], [right, "", right]]), draws=0)
    assert metrics.figures["pass@3"] == pytest.approx(200 / 3) and metrics.figures["unparseable"] == pytest.approx(
        200 / 3
    )
    assert metrics.problems == {"no_think_tag": 2, "no_answer_tag": 2, "no_completion": 1}  # of every completion
    gold, pred = written(tmp_path, samples, [[], [""], [render_gold(samples[2])]])
    metrics = score_files(gold, pred, draws=0)
    assert metrics.figures["accuracy"] == pytest.approx(100 / 3) == metrics.errors["right"] * 100 / 3
    assert metrics.errors["unparseable"] == 2 and metrics.problems["no_completion"] == 1


@pytest.mark.parametrize("protocol", ["more", "sem2010", "r1_re"])
def test_labels_without_a_guideline_are_taken_from_the_gold(tmp_path, protocol):
    labels = ["Other", "Feeds(e1,e2)", "Feeds(e2,e1)", "Owns"]
    samples = [pair(number, label, corpus="nobody's") for number, label in enumerate(labels)]
    gold, pred = written(tmp_path, samples, [[render_gold(one)] for one in samples])
    spec = task_of(gold)
    assert spec.none == "Other" and set(spec.answers) == set(labels)
    metrics = score_files(gold, pred, protocol=protocol, draws=0)
    assert metrics.primary["value"] == 100 and metrics.protocol == protocol and metrics.about
    assert metrics.n == (3 if protocol == "r1_re" else 4)


def test_types_without_a_guideline_are_taken_from_the_gold(tmp_path):
    samples = [named(number, corpus="nobody's", type_=type_) for number, type_ in enumerate(["bird", "fish"])]
    gold, pred = written(tmp_path, samples, [[render_gold(samples[0])], [render_gold(samples[0])]])
    metrics = score_files(gold, pred, protocol="ner", draws=0)
    assert metrics.primary == {"name": "f1", "value": 50.0}
    assert metrics.confusion == {"bird": {"bird": 1}, "fish": {"bird": 1}} and metrics.per_label["fish"]["recall"] == 0


def test_a_protocol_that_does_not_score_the_task_is_refused(tmp_path):
    gold, pred = written(tmp_path, [named(0)], [[""]])
    with pytest.raises(ConfigError, match="'more' scores pairs, and wnut17 has no label"):
        score_files(gold, pred, guidelines="wnut17", protocol="more")
    gold, pred = written(tmp_path, [pair(0)], [[""]])
    with pytest.raises(DataError, match="s0 asks 'pair', which the protocol 'ner' does not score"):
        score_files(gold, pred, protocol="ner")
    gold, pred = written(tmp_path, [named(0)], [[""]])
    with pytest.raises(ConfigError, match="no protocol is called 'f1'; known: more"):
        score_files(gold, pred, protocol="f1")


def noisy(samples, share, seed):
    chance = random.Random(seed)
    return [
        [render_completion("-", chance.choice(MORE.answers)) if chance.random() < share else render_gold(one)]
        for one in samples
    ]


def test_two_runs_are_compared_from_what_scoring_left(tmp_path):
    samples = [pair(number, MORE.answers[number % 21]) for number in range(300)]
    gold, a = written(tmp_path, samples, noisy(samples, 0.4, 1), "a.jsonl")
    _, b = written(tmp_path, samples, noisy(samples, 0.2, 2), "b.jsonl")
    score_files(gold, a, out=tmp_path / "a.metrics.json")
    score_files(gold, b, out=tmp_path / "b.metrics.json")
    result = compare_runs(tmp_path / "a.metrics.json", b)
    assert result == compare_runs(a, b, gold=gold, protocol="more")
    values = [Metrics.model_validate_json((tmp_path / f"{x}.metrics.json").read_text()).primary["value"] for x in "ab"]
    assert [result.a, result.b] == pytest.approx(values) and result.difference == pytest.approx(values[1] - values[0])
    assert result.p < 0.01 and result.ci95[0] < result.difference < result.ci95[1] and result.ci95[0] > 0
    same = compare_runs(a, a, gold=gold)
    assert (same.difference, same.p, same.changed, same.ci95) == (0, 1, 0, (0, 0))
    with pytest.raises(DataError, match="no figure 'f2' to compare; known: accuracy"):
        compare_runs(a, b, figure="f2")
    with pytest.raises(DataError, match="Give --gold"):
        compare_runs(
            written(tmp_path, samples, noisy(samples, 0, 1), "c.jsonl")[1],
            written(tmp_path, samples, noisy(samples, 0, 1), "d.jsonl")[1],
        )


def test_a_folder_behind_a_link_finds_its_gold(tmp_path):
    (tmp_path / "far" / "deep" / "runs").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "far" / "deep" / "runs")
    samples = [pair(number, MORE.answers[number % 21]) for number in range(21)]
    gold, a = written(tmp_path, samples, noisy(samples, 0.4, 1), "runs/a.jsonl")
    score_files(gold, a, out=metrics_file(a))
    assert compare_runs(a, a).changed == 0


def test_gold_is_read_in_the_guidelines_spelling(tmp_path):
    text = "BERT on SQuAD"
    entities = [
        {"id": "a", "start": 0, "end": 4, "text": "BERT", "type": "method"},
        {"id": "b", "start": 8, "end": 13, "text": "SQuAD", "type": "DATASET"},
    ]
    gold = {"entities": entities, "relations": [{"head": "a", "label": "EVALUATED-with", "tail": "b"}]}
    fields = {"id": "s", "corpus": "scier", "split": "test", "task": "extract", "text": text, "gold": gold}
    one = Sample.model_validate(fields)
    path, pred = written(tmp_path, [one], [[render_gold(one)]], "s.jsonl")
    scored = score_files(path, pred, "scier", draws=0)
    assert scored.primary["value"] == scored.figures["ner_f1"] == 100.0 and set(scored.per_label) >= {"Evaluated-With"}
    assert reward("rel_f1", render_gold(one), one, load_spec("scier"), Terms()) == 1.0


def test_gold_of_one_label_alone_has_a_macro_of_nothing(tmp_path):
    samples = [pair(number) for number in range(3)]
    path, pred = written(tmp_path, samples, [[render_gold(one)] for one in samples], "n.jsonl")
    guide = tmp_path / "none.yaml"
    guide.write_text(
        "{corpus: c, protocol: more, question: which, none: none, labels: [{name: none, definition: nothing}]}"
    )
    score_files(path, pred, str(guide), tmp_path / "m.json", draws=20)
    assert "NaN" not in (tmp_path / "m.json").read_text()


def test_runs_scored_on_the_first_samples_are_compared_on_these_alone(tmp_path):
    samples = [pair(number, MORE.answers[number % 21]) for number in range(60)]
    gold, a = written(tmp_path, samples, noisy(samples, 0.4, 1), "a.jsonl")
    _, b = written(tmp_path, samples, noisy(samples, 0.2, 2), "b.jsonl")
    whole = compare_runs(a, b, gold=gold, protocol="more").n
    for path in (a, b):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:20]))
        score_files(gold, path, out=metrics_file(path), limit=20)
    assert compare_runs(a, b).n < whole
    b.write_text("".join(b.read_text().splitlines(keepends=True)[:19]))
    score_files(gold, b, out=metrics_file(b), limit=19)
    with pytest.raises(DataError, match=r"scored with different data\.limit"):
        compare_runs(a, b)


def test_a_folder_stands_for_its_last_stage_or_its_only_model_and_no_other(tmp_path):
    for name in ("sft", "base"):
        gold, _ = written(
            tmp_path, [pair(0)], [["right" if name == "sft" else render_gold(pair(0))]], f"{name}.test.jsonl"
        )
    assert compare_runs(tmp_path, tmp_path / "base.test.jsonl", gold=gold).a == 0
    (tmp_path / "sft.test.jsonl").rename(tmp_path / "other.test.jsonl")
    with pytest.raises(DataError, match=r"give one of base.test.jsonl, other.test.jsonl"):
        compare_runs(tmp_path, tmp_path, gold=gold)


@pytest.mark.parametrize(
    ("name", "beside"),
    [("v1.6", "v1.6.metrics.json"), ("grpo.test.jsonl", "grpo.test.metrics.json"), ("a", "a.metrics.json")],
)
def test_figures_lie_beside_their_predictions_under_their_whole_name(tmp_path, name, beside):
    gold, pred = written(tmp_path, [pair(0)], [["-"]], name)
    assert metrics_file(pred) == tmp_path / beside
    score_files(gold, pred, out=metrics_file(pred))
    assert compare_runs(pred, pred).changed == 0  # and so their gold is known


def test_the_verbs_score_and_compare(tmp_path):
    samples = [pair(number, MORE.answers[number % 21]) for number in range(60)]
    gold, a = written(tmp_path, samples, noisy(samples, 0.5, 1), "a.jsonl")
    _, b = written(tmp_path, samples, noisy(samples, 0.1, 2), "b.jsonl")
    run = CliRunner().invoke
    done = run(
        app, ["score", "--gold", str(gold), "--pred", str(a), "--protocol", "more", "--out", str(tmp_path / "m.json")]
    )
    assert done.exit_code == 0 and "micro_f1" in done.stdout and "outcomes: " in done.stdout
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert {"protocol", "n", "primary", "figures", "ci95", "problems"} <= metrics.keys()
    assert metrics["primary"].keys() == {"name", "value"} and "NJUNLP/MORE" in metrics["about"]
    assert len(metrics["ci95"]["micro_f1"]) == 2
    done = run(app, ["compare", str(a), str(b), "--gold", str(gold), "--out", str(tmp_path / "c.json")])
    assert done.exit_code == 0 and "b - a +" in done.stdout
    assert json.loads((tmp_path / "c.json").read_text())["n"] == 60
    done = run(app, ["score"])
    assert done.exit_code == 2 and "--gold and --pred" in done.output


def test_a_full_test_set_is_scored_in_seconds_from_the_shell(tmp_path):
    samples = [pair(number, MORE.answers[number % 21]) for number in range(3036)]
    gold, pred = written(tmp_path, samples, noisy(samples, 0.4, 1))
    started = time.perf_counter()
    command = [sys.executable, "-m", "morerl", "score", "--gold", gold, "--pred", pred, "--draws", "1000"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - started < 15  # 1.5 s alone; other tests may run beside it


def test_memory_does_not_grow_with_the_samples(tmp_path):
    def peak(count):
        samples = [pair(number, MORE.answers[number % 21]) for number in range(count)]
        files = written(tmp_path, samples, [[render_gold(one) + " " * 2000] for one in samples])
        del samples
        tracemalloc.start()
        score_files(*files, draws=0)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(10)
    assert peak(4000) - peak(1000) < 3000 * 400  # ids are kept, to find doubles; texts of 2,000 characters are not
