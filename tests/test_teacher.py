"""The teacher's road: which samples are asked, what it is shown, what every gate catches, what is kept."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from morerl.teacher.reply import Reply

from morerl.errors import ConfigError
from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples
from morerl.prompts.parse import parse
from morerl.prompts.render import render_completion
from morerl.runs import read_json
from morerl.schema import Gold, Mention, Reasoning, Region, Sample
from morerl.settings import Settings
from morerl.teacher.build import build, choose, run_teach, teacher
from morerl.teacher.gates import judge

MORE = load_spec("more")
GOLD = "/per/misc/awarded"
CHAIN = "\n".join(
    f"Step {number}: {text}"
    for number, text in enumerate(
        ["a person.", "it bears on it.", "the winner.", "per, misc.", "none, awarded, party.", "awarded."], 1
    )
)

ANA = Mention(id="m0", start=0, end=3, text="Ana")


def sample(number=0, label=GOLD):
    return Sample(
        id=f"s{number}",
        corpus="more",
        split="train",
        text="Ana wins the Golden Quill",
        image="x.png",
        mentions=(ANA, Mention(id="m1", start=4, end=8, text="wins")),
        regions=(Region(id="r0", box=(0.1, 0.1, 0.9, 0.9)),),
        head="r0",
        tail="m0",
        gold=None if label is None else Gold(label=label),
    )


def settings(tmp_path, **sections):
    tree = {"run": {"dir": tmp_path / "run"}, "data": {"dir": tmp_path, "guidelines": "more"}}
    return Settings.model_validate(tree | {"teach": {"teacher": "scenes"}} | sections)


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


# --- what is kept


def test_build_writes_kept_and_rejected_with_provenance_and_the_counts_add_up(tmp_path):
    right, wrong = render_completion(CHAIN, GOLD), render_completion(CHAIN, "none")
    texts, reasons = [right, wrong, "", right], ["stop", "stop", "stop", "length"]
    samples = [sample(i) for i in range(12)]

    def answer(asked, messages):
        number = int(asked.id[1:]) % 4
        return Reply(text=texts[number], model="m", finish_reason=reasons[number], usage={"tokens": number})

    told = []
    out = tmp_path / "deep/reasoning.jsonl"
    counts = build(samples, answer, MORE, settings(tmp_path), out, on_sample=lambda: told.append(1))
    kept = list(read_records(out, Reasoning))
    rejected = list(read_records(out.with_name("rejected.jsonl"), Reasoning))
    assert counts == {"kept": 3, "wrong_answer": 3, "no_think_tag": 3, "truncated": 3}
    assert [row.id for row in kept] == ["s0", "s4", "s8"] and {row.reason for row in kept} == {None}
    assert Counter(row.reason for row in rejected) == {name: 3 for name in counts if name != "kept"}
    assert {row.id for row in (*kept, *rejected)} == {s.id for s in samples} and len(told) == 12
    assert (kept[0].model, kept[0].usage, len(kept[0].prompt_hash)) == ("m", {"tokens": 0}, 64)
    assert kept[0].prompt_hash == kept[1].prompt_hash  # the same question, the same hash


def test_the_scenes_teacher_is_asked_judged_and_not_asked_again(world, tmp_path):
    run = settings(
        tmp_path,
        data={"dir": world / "data", "image_root": world / "raw", "guidelines": "more"},
        prompt={"template": "stepwise_brief"},
    )
    out = run_teach(run)
    train = read_samples(world / "data/train.jsonl")
    kept = list(read_records(out, Reasoning))
    rejected = list(read_records(out.with_name("rejected.jsonl"), Reasoning))
    done = read_json(tmp_path / "run/teach/done.json")
    assert done["asked"] == len(kept) + len(rejected) == len(choose(train, 0.25, seed=0))
    assert done.get("kept", 0) == len(kept) > 0.9 * done["asked"]
    asked = {s.id: s for s in train}
    assert all(parse(row.completion, MORE, asked[row.id]).answer == asked[row.id].gold.label for row in kept)
    out.unlink()
    assert run_teach(run) == out and not out.exists()  # done is done


def test_the_scenes_teacher_makes_every_fault_and_each_is_caught(world, tmp_path):
    run = settings(tmp_path, data={"dir": ".", "image_root": world / "raw", "guidelines": "more"})
    ask, verdicts = teacher(run, MORE, []), Counter()
    for one in read_samples(world / "data/train.jsonl"):
        reply = ask(one, [])
        verdicts[judge(reply.text, reply.finish_reason, one, MORE, "stepwise")] += 1
    assert verdicts.pop(None) > 0.95 * verdicts.total()
    assert set(verdicts) <= {"wrong_answer", "leak", "steps"} and verdicts


def test_the_scenes_teacher_without_scenes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="draw_scenes"):
        teacher(settings(tmp_path), MORE, [])
