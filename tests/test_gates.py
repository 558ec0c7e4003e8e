"""The gates: each names its fault, what is only like a fault passes, and hostile replies cost little."""

import time

import pytest
from chains import ANY, GOLD, MORE, chain, sample, verdict
from hypothesis import given
from hypothesis import strategies as st
from leak_phrasings import HELD_OUT_INNOCENT, HELD_OUT_LEAKS, INNOCENT, LEAKS

from morerl.jsonl import read_records, read_samples
from morerl.prompts.render import render_completion
from morerl.scenes.world import Scene
from morerl.settings import GateSettings
from morerl.teacher.gates import Repeats, judge
from morerl.teacher.leaks import leaks
from morerl.teacher.scenes import explain


@pytest.mark.parametrize(
    ("think", "answer", "reason"),
    [
        (chain(), GOLD, None),
        (chain(), GOLD.upper().removeprefix("/"), None),
        (chain(), "/per/misc/party", "wrong_answer"),
        (chain(), "none", "wrong_answer"),
        (chain(), "gold", "unknown_label"),
        (chain(), "", "empty_answer"),
        (chain() + "<answer>none</answer>", GOLD, "repeated_tag"),
        ("", GOLD, "empty_think"),
        ("It is so.", GOLD, "steps"),
        (chain().replace("Step 4: ", ""), GOLD, "steps"),
        (chain().replace("Step 4", "Step 7"), GOLD, "steps"),
        (chain().replace("Step 4", "Step ٤"), GOLD, None),
        (chain() + "\nStep 7: more.", GOLD, "steps"),
        (chain() + "\nStep 70000: 'more'.", GOLD, "evidence"),
        (chain(step3="the winner; this is the gold answer."), GOLD, "leak"),
        (chain(step3="so says “the gold label” of her."), GOLD, None),
        (chain(step3="so says 'the \"gold label\"'."), GOLD, None),
        (chain(step3="so says “the gold label is this”."), GOLD, "leak"),
        (chain(step3="she was given the Golden Quill, a golden day."), GOLD, None),
    ],
)
def test_every_gate_names_its_fault(think, answer, reason):
    assert verdict(think, answer) == reason
    assert verdict(think, answer, finish="length") == "truncated"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        *((name, None) for name in ("stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence")),
        *((name, "truncated") for name in ("length", "max_tokens", "MAX_TOKENS", "model_length")),
        *((name, "content_filter") for name in ("content_filter", "content_filter: SAFETY", "refusal", "RECITATION")),
        *((name, "unfinished") for name in ("", "abort", "tool_calls", "error", "\ud800", "null")),
    ],
)
def test_the_end_of_a_reply_as_servers_call_it(finish, reason):
    assert verdict(chain(), finish=finish) == reason


def test_a_template_without_steps_asks_for_none():
    assert verdict("so", template="excerpt") is None
    assert verdict(chain(), template="excerpt") == "steps"


@pytest.mark.parametrize("words", LEAKS)
def test_a_leak_is_seen(words):
    assert leaks(words) and leaks(words.upper().replace(" ", "\n ")) and not leaks(words[::-1])


@pytest.mark.parametrize("words", INNOCENT)
def test_what_only_sounds_like_a_leak_passes(words):
    assert not leaks(words)


def test_leaks_nobody_tuned_on():
    assert sum(map(leaks, HELD_OUT_LEAKS)) == 18 and sum(map(leaks, HELD_OUT_INNOCENT)) == 0


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ("“Ana's team”", True),
        ("“ana’s  TEAM wins,” it says", True),
        ("“Ana ... Quill”", True),
        ("“Quill ... Ana”", False),
        ("“Ana loses”", False),
        ('the title says "wins the Golden Quill."', True),
        ('the title says "loses"', False),
        ("the words 'the Golden Quill' and ‘Ana’s team’", True),
        ("the words 'the Silver Quill'", False),
        ("the words ‘the Silver Quill’", False),
        ("the Bears' league and Ana's team don't share the players' prize", True),
        ("of the '90s and the players' league", True),
        ("'<e1>Ana</e1>'s team' and \"[ Golden Quill ]\"", True),
        ("it is 'awarded', 'per', '/per/per/self', 'place_of_birth' or 'none'", True),
        ("the guideline says 'has received the prize, title or honour named'", True),
        ("a 'hero'", False),
        ("Ana 's team and the Bears' league", True),
        ('5" and 6" tall', True),
        ('a " b " c', True),
    ],
)
def test_what_is_quoted_stands_in_the_text(words, held):
    expected = None if held else "evidence"
    assert verdict(chain(step3=words)) == expected
    assert verdict(words, template="guided", one=sample(image=None)) == expected


def test_what_is_read_in_the_picture_is_not_judged():
    for step in ("step1", "step2"):
        seen = {step: "a sign reads 'EXIT' and “WAY OUT”."}
        assert verdict(chain(**seen)) is None
        assert verdict(chain(**seen, step3="by the 'exit' she waits.")) is None
        assert verdict(chain(**seen, step3="by the 'door' she waits.")) == "evidence"
        assert verdict(chain(**seen), one=sample(image=None)) == "evidence"
    assert verdict("a sign reads 'EXIT'", template="guided") is None
    assert verdict("the title says “EXIT”", template="guided") == "evidence"


def test_length_is_counted_in_words_of_the_reasoning():
    limits = GateSettings(min_words=3, max_words=4)
    said = {n: verdict(" a\n" * n, template="guided", gates=limits) for n in (2, 3, 4, 5)}
    assert said == {2: "too_short", 3: None, 4: None, 5: "too_long"}


def test_repeats_lets_the_same_reasoning_through_so_often():
    other = sample(text="Bob's team wins the Silver Quill", name="Silver Quill", image=None)
    first = (render_completion("Ana got the Golden Quill in 1990.", GOLD), sample(image=None))
    names_differ = (render_completion("bob  got the Silver Quill in 1990.", "none"), other)
    digits_differ = (render_completion("Ana got the Golden Quill in 1991.", GOLD), sample(image=None))
    names_are_swapped = (render_completion("Golden Quill got the Ana in 1990.", GOLD), sample(image=None))
    asked = (first, names_differ, digits_differ, names_are_swapped, first)
    once, twice, ever = Repeats(1), Repeats(2), Repeats(None)
    assert [once.seen(*one) for one in asked] == [False, True, False, False, True]
    assert [twice.seen(*one) for one in asked] == [False, False, False, False, True]
    assert not any(ever.seen(*one) for one in asked * 3)
    # of a region nothing is taken out, and a whole name only
    assert not once.seen("<think>Anatol got the Golden Quill in 1990.</think>", sample())


def test_the_drawn_worlds_explanations_pass(world):
    scenes = {scene.id: scene for scene in read_records(world / "raw/scenes.jsonl", Scene)}
    asked = read_samples(world / "data/train.jsonl")
    for one in asked:
        scene, box = scenes[one.image.rpartition("/")[2].partition(".")[0]], one.argument("r0").box
        apart = [sum(abs(a - b) for a, b in zip(box, drawn, strict=True)) for drawn in scene.boxes]
        actor = next(actor for actor in scene.actors if actor.name == one.argument(one.tail).text)
        think, answer = explain(scene, scene.figures[apart.index(min(apart))], actor, MORE)
        assert verdict(think, answer, one=one, template="stepwise_brief") is None, (one.id, think)
    assert len(asked) > 100


PIECES = ["“", "”", '"', "'", "‘", "’", "<think>", "</think>", "<answer>", "</answer>", "Step 5:", "\nStep 4: per"]
PIECES += ["[", "(", "\0", "\ud800", " ", "...", "not ", "awarded", ", ", "the given answer", "ground truth", "٤", GOLD]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=60), st.booleans(), st.text(max_size=8))
def test_judge_never_raises(pieces, framed, finish):
    text = render_completion(chain(step5="awarded" + "".join(pieces)), GOLD) if framed else "".join(pieces)
    for template in ("stepwise", "guided"):
        for one in (sample(), sample(image=None)):
            judge(text, "stop", one, MORE, template, ANY)
            judge(text, finish, one, MORE, template, ANY)
            Repeats(1).seen(text, one)


@pytest.mark.parametrize(
    "piece",
    [
        *(*PIECES, "“a", '"a', "'a", "'a' ", " 'a", "‘a", "a’a", "\nStep 5: a", "not per/per/self ", "the a ", "n't:"),
        *("'a' ‘", "no awarded ", "labelled/", "gold ", "as given ", "excluded awarded, ", " \t", "\n", "a" * 99),
        *("told me a ", "'awarded' ", "'per per' "),
    ],
)
@pytest.mark.parametrize("step", ["step3", "step4", "step5"])
def test_long_hostile_replies_end_soon(piece, step):
    hostile = piece * (200_000 // len(piece))
    texts = (render_completion(chain(**{step: "awarded " + hostile}), GOLD), render_completion(hostile, GOLD), hostile)
    for text, template in zip(texts, ("stepwise", "guided", "stepwise"), strict=True):
        start = time.process_time()
        judge(text, "stop", sample(image=None), MORE, template, ANY)
        assert time.process_time() - start < 0.5
