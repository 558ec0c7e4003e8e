"""Several corpora in one run: what is refused, what is drawn how often, every stage on pictures and texts at once."""

import json
from collections import Counter
from math import ceil, floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.check import run_check
from morerl.config import load_settings
from morerl.errors import ConfigError, DataError
from morerl.inference import run_predict, run_rate, score_run
from morerl.jsonl import read_records, read_samples, write_records
from morerl.mixing.tempered import ratios, repeats
from morerl.prompts.render import render_gold, template_of
from morerl.report import write_report
from morerl.rewards import check_rewards, compose
from morerl.runs import read_json
from morerl.schema import Entity, Extraction, Rated, Reasoning, Sample
from morerl.settings import Settings
from morerl.tasks import load_tasks
from morerl.teacher.plan import plan
from morerl.training.grpo import asked_of, parts_of, reward_functions, run_grpo
from morerl.training.order import plan_order
from morerl.training.sft import run_sft

CONFIG = Path(__file__).parents[1] / "configs" / "unified" / "qwen2_5_vl_7b.yaml"
SIZES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 60), min_size=1)
TEMPERATURES = st.floats(1.0, 20.0)
STAGED = {
    "rewards_of": {"more": "more_r1", "wnut17": {"format": {"stages": [1, 0.5]}, "answer": 2}},
    "second_stage": 0.5,
}
OF_ONE = {"dir": None, "image_root": None, "guidelines": None}


def ids_of(sizes):
    return {name: [f"{name}{n}" for n in range(size)] for name, size in sizes.items()}


@given(SIZES, TEMPERATURES, st.integers(0, 5))
def test_shares_are_as_the_sizes_tempered_and_nothing_is_dropped(sizes, temperature, seed):
    ids, ratio = ids_of(sizes), ratios(sizes, temperature)
    times = repeats(ids, temperature, seed=seed)
    assert times.keys() == {id_ for of_corpus in ids.values() for id_ in of_corpus}
    assert times == repeats(ids, temperature, seed=seed)
    for name, of_corpus in ids.items():
        each = [times[id_] for id_ in of_corpus]
        if each:
            assert set(each) <= {floor(ratio[name]), ceil(ratio[name])} and min(each) >= 1
            wanted = max(sizes.values()) ** (1 - 1 / temperature) * sizes[name] ** (1 / temperature)
            assert sum(each) == pytest.approx(wanted, abs=0.51)


@given(SIZES)
def test_at_temperature_one_every_sample_comes_once(sizes):
    assert set(repeats(ids_of(sizes), 1.0, seed=0).values()) <= {1}


def test_another_seed_repeats_other_samples():
    ids = ids_of({"a": 60, "b": 20})
    assert len({tuple(repeats(ids, 2.0, seed=seed).values()) for seed in range(4)}) == 4


# --- settings


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "want dir and guidelines, of one corpus, or corpora"),
        ({"dir": "x"}, "want dir and guidelines"),
        ({"corpora": {}}, "at least 1 item"),
        ({"corpora": {"a/b": {"dir": "x", "guidelines": "more"}}}, "should match pattern"),
        ({"corpora": {"more": {"dir": "x", "guidelines": "more"}}, "image_root": "y"}, "image_root beside corpora"),
        ({"dir": "x", "guidelines": "more", "temperature": 2}, "weighs corpora against each other"),
        ({"corpora": {"more": {"dir": "x", "guidelines": "more"}}, "temperature": 0.5}, "greater than or equal to 1"),
    ],
)
def test_one_corpus_or_several_and_nothing_between(data, message):
    with pytest.raises(ValueError, match=message):
        Settings.model_validate({"run": {"dir": "x"}, "data": data})


def test_a_run_of_one_corpus_is_written_down_as_ever():
    settings = Settings.model_validate({"run": {"dir": "x"}, "data": {"dir": "d", "guidelines": "more"}})
    assert settings.model_dump(mode="json")["data"] == {
        "dir": "d",
        "image_root": None,
        "guidelines": "more",
        "max_prompt_tokens": 2048,
        "limit": None,
    }


# --- two tiny corpora: pictures with pairs, texts with entities


def named(number, split):
    text = f"Ada flies to Oslo and number {number}"
    gold = Extraction(entities=(Entity(id="e0", text="Oslo", type="location", start=13, end=17),))
    id_ = f"wnut17/{split}/{number}"
    return Sample(id=id_, corpus="wnut17", split=split, text=text, task="entities", gold=gold)


@pytest.fixture
def corpora(world, tmp_path):
    """data.corpora of eight pictures' questions and four texts a split."""
    for split in ("train", "dev", "test"):
        write_records(tmp_path / "more" / f"{split}.jsonl", read_samples(world / "data" / f"{split}.jsonl")[:8])
        write_records(tmp_path / "wnut17" / f"{split}.jsonl", [named(n, split) for n in range(4)])
    return {
        "more": {"dir": str(tmp_path / "more"), "image_root": str(world / "raw"), "guidelines": "more"},
        "wnut17": {"dir": str(tmp_path / "wnut17"), "guidelines": "wnut17"},
    }


@pytest.fixture
def unified(make_settings, corpora):
    def make(data=None, grpo=None, **sections):
        base = make_settings()
        return make_settings(
            data={**OF_ONE, "corpora": corpora, "temperature": 2.0, "max_prompt_tokens": 4096, **(data or {})},
            prompt={"template": None},
            grpo={
                "trainer": base.grpo.trainer,
                **(STAGED if grpo is None else grpo),
            },
            **sections,
        )

    return make


def test_a_sample_of_another_corpus_and_an_id_of_two_are_refused(unified, corpora, tmp_path):
    other = unified(data={"corpora": {"mine": corpora["wnut17"]}}, grpo={"rewards": "ner_rl"})
    with pytest.raises(DataError, match=r"wnut17/train\.jsonl: .* is 'wnut17', .* under data.corpora.mine: call"):
        load_tasks(other).read("train")
    taken = named(0, "train").model_copy(update={"id": read_samples(tmp_path / "more" / "train.jsonl")[0].id})
    write_records(tmp_path / "wnut17" / "train.jsonl", [taken])
    with pytest.raises(DataError, match=r"the id 'more/train/.*' is taken by the corpus more"):
        load_tasks(unified()).read("train")


def test_the_limit_is_a_corpuss(unified):
    tasks = load_tasks(unified(data={"limit": 3}))
    assert {name: len(samples) for name, samples in tasks.by_corpus(tasks.read("train")).items()} == {
        "more": 3,
        "wnut17": 3,
    }


def test_rewards_are_of_the_corpora_there_are_and_fit_their_tasks(unified):
    with pytest.raises(ValueError, match=r"rewards_of is for more, and data.corpora has more, wnut17"):
        unified(grpo={"rewards_of": {"more": "more_r1"}})
    settings = unified(grpo={"rewards_of": {"more": "more_r1", "wnut17": "ner_rl"}})
    samples = load_tasks(settings).read("train")
    check_rewards(settings.grpo, asked_of(load_tasks(settings), samples))
    with pytest.raises(ConfigError, match=r"grpo.rewards_of.more: nothing pays a right answer to 'pair'"):
        asked = unified(grpo={"rewards_of": {"more": "r2grpo", "wnut17": "ner_rl"}}).grpo
        check_rewards(asked, asked_of(load_tasks(settings), samples))
    with pytest.raises(ConfigError, match=r"grpo.rewards_of.wnut17: no reward named \['anwser'\]"):
        compose(unified(grpo={"rewards_of": {"more": "more_r1", "wnut17": "anwser"}}).grpo, "wnut17")


def test_a_part_says_nothing_of_other_corpora(unified):
    settings = unified()
    tasks = load_tasks(settings)
    asked = [tasks.read("train")[0], named(0, "train")]
    functions, weights = reward_functions(settings, tasks)
    row = {
        "completions": [[{"content": render_gold(one, template_of(one, settings.prompt))}] for one in asked],
        "completion_ids": [[1], [1]],
        "sample": [one.model_dump_json() for one in asked],
    }
    told = {function.__name__: function(**row) for function in functions}
    assert told["more/answer"] == [1.0, None] and told["wnut17/answer"] == [None, 1.0]
    assert list(told) == list(parts_of(settings, tasks)) and weights[-2:] == [0.5, 2.0]


def test_the_teacher_wants_one_corpus(unified):
    with pytest.raises(ConfigError, match=r"the teacher works on one corpus at a time, and data.corpora has more, wn"):
        plan(unified(teach={"strategy": "mimic"}))


def test_an_order_repeats_the_small_corpus_and_adaptive_draws_it_more_often(unified):
    settings = unified(grpo={"mixing": {"strategy": "raw", "epochs": 1}})
    tasks = load_tasks(settings)
    samples = tasks.read("train")
    ratings = {one.id: Rated(id=one.id, n=1, n_correct=0) for one in samples}

    class Arguments:
        generation_batch_size, num_generations, num_iterations, steps_per_generation = 4, 2, 1, 1
        gradient_accumulation_steps, max_steps = 1, -1
        scale_rewards, multi_objective_aggregation = "group", "sum_then_normalize"

    drawn = plan_order(samples, ratings, settings, Arguments, tasks).options["windows"]
    count = Counter(samples[row].corpus for window in drawn for row in window)
    assert count == {"more": 8, "wnut17": 6}
    adaptive = unified(grpo={"mixing": {"strategy": "adaptive"}})
    pool = plan_order(samples, ratings, adaptive, Arguments, tasks).options["pool"]
    assert pool.ratios == [1.0] * 8 + [2**0.5] * 4 and len(set(pool.ids)) == 12


def strictly(line):
    """NaN and Infinity are no JSON."""
    return json.loads(line, parse_constant=pytest.fail)


def taught(folder, corpora):
    """A file of chains a corpus, for half of its samples."""
    files = []
    for name in corpora:
        samples = read_samples(folder / name / "train.jsonl")
        rows = [
            Reasoning(id=one.id, completion=render_gold(one), model="gold", prompt_hash="0")
            for one in samples[: len(samples) // 2]
        ]
        write_records(folder / f"{name}.reasoning.jsonl", rows)
        files.append(str(folder / f"{name}.reasoning.jsonl"))
    return files


def test_an_interrupted_prediction_does_not_ask_a_corpus_that_is_done_again(unified, monkeypatch):
    asked = []

    def answer(model, processing, samples, tasks, **kwargs):
        asked.append({sample.corpus for sample in samples})
        if len(asked) == 2:
            raise KeyboardInterrupt
        return [["nothing"] for _ in samples]

    monkeypatch.setattr("morerl.inference.generate", answer)
    settings = unified(predict={"model": unified().model.path})
    with pytest.raises(KeyboardInterrupt):
        run_predict(settings)
    files = run_predict(settings)
    assert asked == [{"more"}, {"wnut17"}, {"wnut17"}]
    assert all(path.is_file() for path in files) and not list(files[0].parent.glob("*.part"))


def of_the_shipped_config(settings, corpora):
    """configs/unified for two of its corpora."""
    rewards = "{more: more_r1, wnut17: ner_rl}"
    return load_settings(
        CONFIG,
        [
            f"data.corpora={json.dumps(corpora)}",
            f"grpo.rewards_of={rewards}",
            f"model.path={settings.model.path}",
            "grpo.second_stage=",
            "data.max_prompt_tokens=20000",  # the narrow tokenizer has not learnt the prompts' words
        ],
    )


def test_two_corpora_go_through_every_stage(unified, corpora, tmp_path, make_settings):
    sft = {**make_settings().sft.model_dump(mode="json"), "reasoning": taught(tmp_path, corpora)}
    settings = unified(sft=sft, rate={"limit": 2})
    told = list(run_check(of_the_shipped_config(settings, corpora)))
    assert sum(line.startswith("advice: `morerl sft` needs runs/more-teacher/") for line in told) == 1
    lines = [line for line in told if "advice: " not in line]
    assert [line.split(":")[0] for line in lines].count("wnut17") == len(lines[3:]) / 2 + 1
    run_sft(settings)
    assert run_rate(settings)["rated"] == 4
    rated = [row.id.split("/")[0] for row in read_records(settings.run.dir / "rated.jsonl", Rated)]
    assert Counter(rated) == {"more": 2, "wnut17": 2}
    run_grpo(settings)
    log = [strictly(line) for line in (settings.run.dir / "grpo/log.jsonl").read_text().splitlines()]
    scores = [entry for entry in log if "dev_f1" in entry]
    assert all(entry["dev_f1"] == (entry["dev/more"] + entry["dev/wnut17"]) / 2 for entry in scores) and scores
    steps = [entry for entry in log if "reward" in entry]
    kinds = [(entry["rewards/more/answer/mean"], entry["rewards/wnut17/answer/mean"]) for entry in steps]
    assert {sum(value is None for value in pair) for pair in kinds} == {1}  # a window is of one kind
    assert len(set(kinds)) == 2
    files = run_predict(settings)
    assert [file.name for file in files] == ["grpo.test.more.jsonl", "grpo.test.wnut17.jsonl"]
    assert [(path.name, metrics.protocol, metrics.n) for path, metrics in score_run(settings)] == [
        ("grpo.test.more.metrics.json", "more", 8),
        ("grpo.test.wnut17.metrics.json", "ner", 4),
    ]
    write_report(settings.run.dir, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert all(f">{name} · test</option>" in page for name in ("more", "wnut17"))
    assert len(read_json(settings.run.dir / "sft/run.json")["inputs"]) == 8  # with the guidelines
