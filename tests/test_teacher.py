"""Which samples are asked, and the drawn world's teacher: asked over HTTP as any endpoint, judged by the same gates."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.errors import ConfigError
from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples
from morerl.prompts.parse import parse
from morerl.runs import read_json
from morerl.scenes.world import Scene
from morerl.schema import Gold, Mention, Reasoning, Sample
from morerl.teacher.build import run_teach
from morerl.teacher.choose import choose, part
from morerl.teacher.gates import judge
from morerl.teacher.scenes import reply, serve

MORE = load_spec("more")


def sample(number=0, label="/per/misc/awarded"):
    return Sample(
        id=f"s{number}",
        corpus="more",
        split="train",
        text="Ana wins",
        mentions=(Mention(id="m0", start=0, end=3, text="Ana"), Mention(id="m1", start=4, end=8, text="wins")),
        head="m1",
        tail="m0",
        gold=None if label is None else Gold(label=label),
    )


# --- which samples


def test_choose_takes_the_share_of_each_label_half_rounded_up_and_at_least_one():
    samples = [sample(i, label) for i, label in enumerate(["a"] * 100 + ["b"] * 10 + ["c"] + ["d"] * 2)]
    chosen = choose([*samples, sample(999, None)], 0.25, seed=0)
    assert Counter(s.gold.label for s in chosen) == {"a": 25, "b": 3, "c": 1, "d": 1}


def test_choose_is_seeded_keeps_the_order_and_each_label_draws_for_itself():
    samples = [sample(i, "ab"[i % 2]) for i in range(80)]
    chosen = choose(samples, 0.25, seed=1)
    assert chosen == choose(samples, 0.25, seed=1) == [s for s in samples if s in chosen]
    assert chosen != choose(samples, 0.25, seed=2)
    only_a = [s for s in samples if s.gold.label == "a"]
    assert choose(only_a, 0.25, seed=1) == [s for s in chosen if s.gold.label == "a"]


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.floats(0.01, 1))
def test_choose_never_takes_more_than_there_are(labels, share):
    chosen = choose([sample(i, label) for i, label in enumerate(labels)], share, seed=0)
    assert len({s.id for s in chosen}) == len(chosen)
    assert {s.gold.label for s in chosen} == set(labels)


@given(st.integers(0, 50), st.integers(1, 9))
def test_parts_are_disjoint_and_make_up_the_whole(n, of):
    samples = [sample(i) for i in range(n)]
    parts = [part(samples, number, of) for number in range(1, of + 1)]
    assert sorted((s.id for one in parts for s in one), key=lambda id_: int(id_[1:])) == [s.id for s in samples]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


# --- the drawn world's teacher


def test_the_scenes_teacher_is_asked_judged_and_not_asked_again(world, make_settings):
    run = make_settings()
    told = []
    totals = run_teach(run, listener=told.append)
    train = read_samples(world / "data/train.jsonl")
    kept = list(read_records(run.run.dir / "reasoning.jsonl", Reasoning))
    rejected = list(read_records(run.run.dir / "rejected.jsonl", Reasoning))
    assert totals == read_json(run.run.dir / "teach/done.json")
    assert totals["asked"] == len(kept) + len(rejected) == len(choose(train, 0.25, seed=0)) == told[-1].total
    assert totals["kept"] == len(kept) > 0.9 * totals["asked"] and told[-1].kept == len(kept)
    asked = {s.id: s for s in train}
    assert all(parse(row.completion, MORE, asked[row.id]).answer == asked[row.id].gold.label for row in kept)
    first = kept[0]
    assert (first.model, first.strategy, first.usage["completion_tokens"]) == (
        "scenes",
        "stepwise/1",
        len(first.completion.split()),
    )
    assert [len(digest) for digest in first.pictures] == [64, 64]  # the picture and the crop
    assert run_teach(run) == totals


def test_the_scenes_teacher_makes_every_fault_and_each_is_caught(world, make_settings):
    gates = make_settings().teach.gates
    scenes = {scene.id: scene for scene in read_records(world / "raw/scenes.jsonl", Scene)}
    verdicts = Counter(
        judge(reply(one, scenes, MORE, seed=0), "stop", one, MORE, "stepwise", gates)
        for one in read_samples(world / "data/train.jsonl")
    )
    assert verdicts.pop(None) > 0.95 * verdicts.total()
    assert set(verdicts) <= {"wrong_answer", "leak", "steps"} and verdicts


def test_the_scenes_teacher_serves_this_machine_alone(world, make_settings):
    with serve(read_samples(world / "data/train.jsonl", limit=2), MORE, make_settings()) as url:
        assert url.startswith("http://127.0.0.1:")


def test_the_scenes_teacher_without_scenes_is_refused(world, make_settings, tmp_path):
    run = make_settings(data={"image_root": str(tmp_path)})
    with pytest.raises(ConfigError, match="draw_scenes"), serve([], MORE, run):
        pass
