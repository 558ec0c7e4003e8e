"""Adaptive mixing in real GRPO runs: what schedule.jsonl tells, what is refilled, what trains, what is counted."""

import json
from itertools import pairwise

import pytest

from morerl.jsonl import write_records
from morerl.models.load import load_processing
from morerl.schema import Rated
from morerl.tasks import load_tasks
from morerl.training import order
from morerl.training.adaptive import AdaptiveGRPOTrainer
from morerl.training.grpo import run_grpo

GROUP = 2
LEARNT, FORGOTTEN, DULL = ({f"text/{n}" for n in range(*ends)} for ends in ((0, 4), (4, 8), (8, 12)))


def by_length(case, parts):
    """Rewards with spread in most groups, but for the dull samples, whose rollouts are all alike."""
    return dict.fromkeys(parts, 0.5 if case.sample.id in DULL else float(len(case.completion) % 97))


def as_told(tasks):
    """LEARNT are always right and FORGOTTEN never, whatever they were rated; of the others some are."""

    def solved(completions, sample, **kwargs):
        ids = [json.loads(row)["id"] for row in sample]
        right = [len(one[0]["content"]) % 2 == 0 for one in completions]
        return [float(id_ in LEARNT or (id_ not in FORGOTTEN and by)) for id_, by in zip(ids, right, strict=True)]

    return solved


@pytest.fixture
def run(make_settings, tmp_path, text_pair, monkeypatch):
    """Runs GRPO on 16 texts, LEARNT rated as never right and FORGOTTEN as always; the lines of schedule and log."""
    samples = [text_pair(number) for number in range(16)]
    write_records(tmp_path / "texts" / "train.jsonl", samples)
    write_records(tmp_path / "texts" / "dev.jsonl", samples[:1])
    monkeypatch.setattr("morerl.training.grpo.judge", by_length)
    monkeypatch.setattr(order, "solved_function", as_told)

    def go(mixing, **trainer):
        base = make_settings()
        settings = make_settings(
            data={"dir": str(tmp_path / "texts")},
            grpo={
                "model": base.model.path,
                "mixing": mixing,
                "dev": {"every_steps": 99, "limit": 1},
                "trainer": {**base.grpo.trainer, "per_device_train_batch_size": 8, "max_steps": 12, **trainer},
            },
        )
        right = {**dict.fromkeys(LEARNT, 0), **dict.fromkeys(FORGOTTEN, 16)}
        rated = [Rated(id=sample.id, n=16, n_correct=right.get(sample.id, 8)) for sample in samples]
        write_records(settings.run.dir / "rated.jsonl", rated)
        run_grpo(settings)
        return read(settings.run.dir / "schedule.jsonl"), read(settings.run.dir / "grpo" / "log.jsonl")

    return go


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_samples_are_promoted_and_demoted_by_what_their_rollouts_show(run):
    lines, _ = run({"strategy": "adaptive", "decay": 0.25, "floor": 0.1, "replay": 0.25}, max_steps=16)
    assert [line["window"] for line in lines] == [line["step"] for line in lines] == list(range(1, 17))
    history = {}
    for prompt in (prompt for line in lines for prompt in line["prompts"]):
        history.setdefault(prompt["id"], []).append(prompt)
    for drawn in history.values():  # the next draw knows of this one's rollouts
        for before, after in pairwise(drawn):
            assert after["pass_rate"] == pytest.approx(0.25 * before["pass_rate"] + 0.75 * before["passed"])
    again = {id_: (drawn[0], drawn[-1]) for id_, drawn in history.items() if len(drawn) > 2}
    promoted, demoted = LEARNT & again.keys(), FORGOTTEN & again.keys()
    assert promoted and demoted
    assert {(again[id_][0]["why"], again[id_][1]["why"]) for id_ in promoted} == {("floor", "replay")}
    assert {(again[id_][0]["why"], again[id_][1]["why"]) for id_ in demoted} == {("replay", "floor")}


def test_prompts_without_spread_are_replaced_and_every_rollout_is_counted(run):
    lines, log = run({"strategy": "adaptive", "refill": 0.5})
    total = 0
    for line in lines:
        first = [prompt for prompt in line["prompts"] if "refills" not in prompt]
        others = [prompt for prompt in line["prompts"] if "refills" in prompt]
        dull = [prompt["id"] for prompt in first if prompt["id"] in DULL]
        replaced = [prompt["refills"] for prompt in others]
        assert len(first) == 4 and len(others) <= 2  # half of the window
        assert set(dull) & set(replaced) == set(dull) or len(others) == 2
        assert not {prompt["id"] for prompt in first} & {prompt["id"] for prompt in others}
        total += GROUP * len(line["prompts"])
        assert line["rollouts"] == total
    assert any("refills" in prompt for line in lines for prompt in line["prompts"])
    steps = [entry for entry in log if "grad_norm" in entry]
    assert [entry["rollouts"] for entry in steps] == [line["rollouts"] for line in lines]
    assert [entry["mixing/refilled"] * 4 for entry in steps] == [len(line["prompts"]) - 4 for line in lines]
    assert all(0.0 <= entry["mixing/with_spread"] <= 1.0 and "rewards/solved/mean" in entry for entry in steps)


@pytest.mark.parametrize("loss", ["dapo", "grpo"])
def test_what_trains_is_the_window_with_its_refills_in_place(run, narrow_model, monkeypatch, loss):
    trained, inner = [], AdaptiveGRPOTrainer._micro_batches
    tokenizer = load_processing(narrow_model).tokenizer

    def spied(self, window):
        texts = tokenizer.batch_decode(window["prompt_ids"][::GROUP], skip_special_tokens=True)
        ids = [next(f"text/{n}" for n in reversed(range(16)) if f"number {n}" in text) for text in texts]
        teach = window["completion_mask"].view(len(ids), -1).any(dim=1).tolist()
        assert window["num_items_in_batch"] == max(1, window["completion_mask"].sum())
        trained.append(list(zip(ids, teach, strict=True)))
        return inner(self, window)

    monkeypatch.setattr(AdaptiveGRPOTrainer, "_micro_batches", spied)
    shape = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "loss_type": loss, "max_steps": 6}
    lines, _ = run({"strategy": "adaptive", "refill": 1.0}, **shape)
    for line, window in zip(lines, trained, strict=True):
        others = {prompt["refills"]: prompt["id"] for prompt in line["prompts"] if "refills" in prompt}
        first = [prompt["id"] for prompt in line["prompts"] if "refills" not in prompt]
        assert [id_ for id_, _ in window] == [others.get(id_, id_) for id_ in first]
        assert all(not teaches for id_, teaches in window if id_ in DULL)
    assert any(teaches for window in trained for _, teaches in window)


def test_windows_that_serve_several_steps_and_are_read_twice(run):
    shape = {"per_device_train_batch_size": 4, "steps_per_generation": 4, "gradient_accumulation_steps": 2}
    lines, _ = run({"strategy": "adaptive"}, **shape, num_iterations=2)
    assert [line["step"] for line in lines] == [1, 5, 9]
    assert {sum("refills" not in prompt for prompt in line["prompts"]) for line in lines} == {8}


def test_where_prompts_are_not_shared_windows_are_adaptive_without_refills(run, caplog):
    """Here a group lies in two micro-batches; TRL's own path cuts the window apart."""
    lines, _ = run({"strategy": "adaptive"}, per_device_train_batch_size=1, gradient_accumulation_steps=8, max_steps=4)
    assert [len(line["prompts"]) for line in lines] == [4] * 4
    assert any("grpo.mixing.refill is not in force" in record.message for record in caplog.records)


def test_adaptive_has_as_many_windows_as_progressive(run):
    """12 of 16 are hard; alpha 0.5: 12 + 4, then 12 + 4 (of 6) ids, 4 a window."""
    lines, log = run({"strategy": "adaptive", "epochs": 2, "refill": 0.0}, max_steps=-1)
    assert len(lines) == 8 and log[-1]["step"] == 8
    assert lines[-1]["rollouts"] == 8 * 4 * GROUP


@pytest.mark.parametrize(("strategy", "windows"), [("raw", 8), ("hard_only", 6), ("fixed", 8), ("progressive", 8)])
def test_a_fixed_order_is_written_ahead_and_its_rollouts_are_counted(run, strategy, windows):
    lines, log = run({"strategy": strategy, "epochs": 2}, max_steps=2)
    assert len(lines) == windows
    prompts = [prompt for line in lines for prompt in line["prompts"]]
    assert {prompt["why"] for prompt in prompts} == ({"hard"} if strategy == "hard_only" else {"hard", "easy"})
    assert all((prompt["why"] == "easy") == (prompt["pass_rate"] == 1.0) for prompt in prompts)
    assert [line["rollouts"] for line in lines] == [8 * n for n in range(1, windows + 1)]
    assert [entry["rollouts"] for entry in log if "grad_norm" in entry] == [8, 16]


def test_a_run_longer_than_its_schedule_begins_it_anew_says_so_and_writes_what_trains(run, monkeypatch, caplog):
    seen = []
    monkeypatch.setattr(
        "morerl.training.grpo.judge", lambda case, parts: seen.append(case.sample.id) or by_length(case, parts)
    )
    lines, log = run({"strategy": "fixed", "epochs": 1}, max_steps=6)
    told = [prompt["id"] for line in lines for prompt in line["prompts"]]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6] and log[-1]["step"] == 6
    assert seen == [id_ for id_ in told for _ in range(GROUP)] and told[:8] == told[16:]
    assert [line["prompts"][0]["epoch"] for line in lines] == [1, 1, 1, 1, 2, 2]
    assert any("max_steps = 6 trains on 6 windows" in record.message for record in caplog.records)


def test_solved_is_the_right_answer_whatever_the_form(text_pair, make_settings):
    solved = order.solved_function(load_tasks(make_settings()))
    sample = text_pair(0, label="/per/per/partner")
    texts = [
        "<think>x</think> <answer>/per/per/partner</answer>",
        "<answer>/per/per/partner</answer>",
        "<think>x</think> <answer>/per/per/opponent</answer>",
        "no answer",
    ]
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    given = solved(completions, [sample.model_dump_json()] * 4)
    assert (given[0], *given[2:]) == (1.0, 0.0, 0.0)
