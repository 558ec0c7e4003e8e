"""Presets, weights, gates and stages: from the settings to what TRL is given."""

import json
from types import SimpleNamespace

import pytest
import torch
from hacks import SAMPLES, honest_wrong, right, spec_of

from morerl.config import dump_settings, make_settings
from morerl.errors import ConfigError
from morerl.grpo_settings import GrpoSettings
from morerl.jsonl import read_samples, write_records
from morerl.rewards import PRESETS, REWARDS, Case, Terms, Weighed, begins, check_rewards, compose, judge
from morerl.schema import Rated
from morerl.settings import Settings
from morerl.tasks import load_tasks
from morerl.training import grpo
from morerl.training.callbacks import RewardStages

EXTRACT = SAMPLES["extract"]


def settings(**fields):
    tree = {"run": {"dir": "x"}, "data": {"dir": "x", "guidelines": "scier"}, "grpo": fields}
    return Settings.model_validate(tree)


def case(completion, sample=EXTRACT, **fields):
    return Case(completion=completion, sample=sample, spec=spec_of(sample), terms=Terms(), **fields)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_made_of_known_parts_and_passes_the_check(preset):
    check_rewards(GrpoSettings(rewards=preset))
    assert set(compose(GrpoSettings(rewards=preset))) == set(PRESETS[preset])


def test_a_preset_may_be_weighed_and_its_parts_changed_by_those_named_after_it():
    parts = compose(GrpoSettings(rewards={"more_r1": 2, "length": 0, "schema": {"weight": 1, "gate": "format"}}))
    assert parts["format"] == Weighed(1.0, 1.0)
    assert parts["answer"] == Weighed(4.0, 4.0)
    assert parts["length"] == Weighed(0.0, 0.0)
    assert parts["schema"] == Weighed(1.0, 1.0, "format")


def test_the_settings_come_back_as_they_were_written():
    written = {"format": 0.5, "answer": {"weight": 2.0, "gate": "format"}, "rel_f1": {"stages": [0.0, 2.0]}}
    one = settings(rewards=written, second_stage=0.5)
    assert one.grpo.model_dump(mode="json")["rewards"] == written
    assert make_settings(one.model_dump(mode="json"), [], "x.yaml") == one
    assert "rewards:\n    format: 0.5\n    answer:\n      weight: 2.0\n      gate: format\n" in dump_settings(one)


def test_a_part_counts_only_where_its_gate_and_that_ones_gate_are_above_0():
    chain = {"format": 1, "ner_f1": {"weight": 1, "gate": "format"}, "rel_f1": {"weight": 1, "gate": "ner_f1"}}
    parts = compose(GrpoSettings(rewards=chain))
    assert judge(case(right(EXTRACT)), parts) == {"format": 1, "ner_f1": 1, "rel_f1": 1}
    assert judge(case(right(EXTRACT) + "!"), parts) == {"format": 0, "ner_f1": 0, "rel_f1": 0}
    alone = compose(GrpoSettings(rewards={"rel_f1": {"weight": 1, "gate": "format"}}))  # the gate itself need not count
    assert judge(case(right(EXTRACT)), alone) == {"rel_f1": 1}
    assert judge(case(right(EXTRACT) + "!"), alone) == {"rel_f1": 0}


def test_a_part_that_is_not_for_the_samples_task_says_nothing():
    pair = SAMPLES["text pair"]
    parts = compose(GrpoSettings(rewards={"r2grpo": 1, "answer": 1}))
    values = judge(case(right(pair), pair), parts)
    assert {name for name, value in values.items() if value is None} == {"ner_f1", "rel_f1", "relevance", "rule"}
    assert values["answer"] == 1.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rewards": "r2gpro"}, r"no reward named \['r2gpro'\].*presets: more_r1"),
        ({"rewards": {"answer": {"weight": 1, "gate": "fromat"}}}, "grpo.rewards.answer: no reward named 'fromat'"),
        (
            {"rewards": {"answer": {"weight": 1, "gate": "format"}, "format": {"weight": 1, "gate": "answer"}}},
            "its gate hangs on itself: answer -> format -> answer",
        ),
        ({"rewards": {"answer": {"weight": 1, "gate": "answer"}}}, "its gate hangs on itself"),
        ({"rewards": {"more_r1": {"weight": 1, "gate": "format"}}}, "a preset takes a weight alone"),
        ({"rewards": {"answer": 1}, "second_stage": 0.5}, "no part of grpo.rewards has stages"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        check_rewards(GrpoSettings(**fields))


def test_a_task_that_nothing_pays_is_refused():
    check_rewards(GrpoSettings(rewards="r2grpo"), {"": ["extract", "entities"]})
    with pytest.raises(ConfigError, match="nothing pays a right answer to 'pair'; add one of answer, r1_label"):
        check_rewards(GrpoSettings(rewards="r2grpo"), {"": ["extract", "pair"]})
    check_rewards(GrpoSettings(rewards={"r2grpo": 1, "answer": 1}), {"": ["extract", "pair"]})


@pytest.mark.parametrize(
    ("grpo_section", "message"),
    [
        ("{answer: {wieght: 1}}", "grpo.rewards.answer.wieght: unknown key; did you mean 'weight'"),
        ("{answer: {gate: format}}", "want either weight or stages"),
        ("{answer: {weight: 1, stages: [0, 1]}}", "want either weight or stages"),
        ("{answer: much}", "grpo.rewards.answer: "),
        ("{answer: .nan}", "grpo.rewards.answer.weight: "),
        ("[answer]", "grpo.rewards: "),
    ],
)
def test_a_wrong_weight_is_named_with_its_place(grpo_section, message):
    tree = {"run": {"dir": "x"}, "data": {"dir": "x", "guidelines": "scier"}}
    with pytest.raises(ConfigError) as error:
        make_settings(tree, [f"grpo.rewards={grpo_section}"], "x.yaml")
    assert message in str(error.value)
    assert "x.yaml: 1 problem in" in str(error.value)


@pytest.mark.parametrize(("at", "step"), [(None, 0), (0.25, 3), (0.3, 3), (0.31, 4), (1, 1), (7, 7)])
def test_the_second_stage_begins_at_a_step_or_at_a_share_of_the_run(at, step):
    assert begins(GrpoSettings(second_stage=at), 10 if at != 0.25 else 12) == step


def test_a_step_is_a_whole_number():
    with pytest.raises(ValueError, match="a share of the run is below 1"):
        GrpoSettings(second_stage=1.5)


def test_the_trainers_weights_are_those_of_the_step_whether_resumed_or_not():
    asked = GrpoSettings(rewards={"ner_f1": 1, "rel_f1": {"stages": [0, 2]}}, second_stage=0.5)
    trainer = SimpleNamespace(reward_weights=torch.tensor([1.0, 2.0]))
    stages = RewardStages(trainer, asked, compose(asked).values())
    seen = []
    for done in (0, 3, 4, 5, 2):  # the last as a run that goes on from step 2
        stages.on_step_begin(None, SimpleNamespace(global_step=done, max_steps=8), None)
        seen.append(trainer.reward_weights.tolist())
    assert seen == [[1, 0], [1, 0], [1, 2], [1, 2], [1, 0]]


def asked_by_trl(preset, rows):
    """What TRL's callables say of (completion, sample) rows, by part."""
    asked = settings(rewards=preset)
    functions, weights = grpo.reward_functions(asked, load_tasks(asked))
    texts = [[{"role": "assistant", "content": text}] for text, _ in rows]
    samples = [sample.model_dump_json() for _, sample in rows]
    ids = [range(10)] * len(rows)
    values = {one.__name__: one(completions=texts, completion_ids=ids, sample=samples, prompts=[]) for one in functions}
    return values, dict(zip(values, weights, strict=True))


def test_a_malformed_triple_and_another_prompt_leave_the_rest_of_the_batch_alone():
    """The released code of R2GRPO zeroes the group and reads the first gold only (r2grpo note, flaws 3 and 8)."""
    other = SAMPLES["extract, one"]
    broken = right(EXTRACT).replace('"relations": [', '"relations": [["LeafNet", 7], ')
    rows = [(right(EXTRACT), EXTRACT), (broken, EXTRACT), (right(other), other), (right(other), EXTRACT)]
    values, weights = asked_by_trl("r2grpo", rows)
    assert values["rel_f1"][:3] == [1.0, 0.0, 1.0]
    assert 0 < values["rel_f1"][3] < 1
    assert values["ner_f1"] == [1.0, 0.0, 1.0, pytest.approx(0.8)]
    assert weights["rel_f1"] == 2.0


def test_a_completion_is_parsed_once_however_many_parts_are_asked(monkeypatch):
    from morerl.rewards import case as module

    parsed = []
    parse = module.parse
    monkeypatch.setattr(module, "parse", lambda *args: parsed.append(args[0]) or parse(*args))
    rows = [(right(EXTRACT), EXTRACT), (honest_wrong(EXTRACT), EXTRACT)]
    values, _ = asked_by_trl("r2grpo", rows)
    assert len(values) == len(PRESETS["r2grpo"])
    assert parsed == [text for text, _ in rows]


def test_the_next_batch_is_judged_anew():
    asked = settings(rewards={"answer": 1})
    functions, _ = grpo.reward_functions(asked, load_tasks(asked))
    (answer,) = functions
    row = {"completion_ids": [[1]], "sample": [EXTRACT.model_dump_json()]}
    for text, value in ((right(EXTRACT), 1.0), (honest_wrong(EXTRACT), 0.0), (right(EXTRACT), 1.0)):
        assert answer(completions=[[{"content": text}]], **row) == [value]


def test_bounds_and_tasks_are_stated_for_every_part():
    for name, part in REWARDS.items():
        assert part.low <= 0.0 <= part.high and part.low < part.high, name
        assert part.tasks, name


@pytest.mark.slow
def test_a_run_in_two_stages_is_paid_by_the_weights_of_each(make_settings, world, monkeypatch):
    monkeypatch.setattr("morerl.training.grpo.judge", lambda case, parts: dict.fromkeys(parts, 1.0))
    section = make_settings().grpo.trainer | {"logging_steps": 1}
    staged = {"rewards": {"format": 1.0, "answer": {"stages": [0.0, 2.0]}}, "second_stage": 0.5}
    one = make_settings(grpo={**staged, "model": make_settings().model.path, "trainer": section})
    train = read_samples(world / "data" / "train.jsonl")[:8]
    write_records(one.run.dir / "rated.jsonl", [Rated(id=s.id, n=1, n_correct=0) for s in train])
    grpo.run_grpo(one)
    log = [json.loads(line) for line in (one.run.dir / "grpo/log.jsonl").read_text().splitlines()]
    steps = [entry for entry in log if "reward" in entry]
    assert [entry["reward"] for entry in steps] == [1.0, 1.0, 3.0, 3.0]
    assert {entry["rewards/answer/mean"] for entry in steps} == {1.0}  # raw, whatever it weighs
