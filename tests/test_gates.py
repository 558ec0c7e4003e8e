"""The gates: each names its fault, what is only like a fault passes, and hostile replies cost little."""

import gc
import re
import time

import pytest
from chains import ANY, GOLD, MORE, OPEN, SEM, TEXT, chain, sample, verdict
from hypothesis import given
from hypothesis import strategies as st
from leak_held_out import HELD_OUT_INNOCENT, HELD_OUT_LEAKS
from leak_phrasings import INNOCENT, LEAKS
from pydantic import ValidationError

from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples
from morerl.prompts.render import render, render_completion
from morerl.scenes.world import Scene
from morerl.schema import Entity, Extraction, Sample
from morerl.settings import GateSettings, PromptSettings, Settings
from morerl.teacher.copied import copied
from morerl.teacher.gates import LONGEST, Repeats, judge
from morerl.teacher.leaks import leaks
from morerl.teacher.scenes import explain
from morerl.teacher.strategies import ASKING, distill, guided, stepwise

SCIER = load_spec("scier")
RUN = Settings.model_validate({"run": {"dir": "r"}, "data": {"dir": "d", "guidelines": "more"}})
ANA = Extraction(entities=(Entity(id="a", text="Ana", type="Method", start=0, end=3),))
EXTRACTED = Sample(id="s", corpus="c", split="train", text=TEXT, task="extract", gold=ANA)


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
        (chain(step2=""), GOLD, "steps"),
        (chain(step6=" ... _ "), GOLD, "steps"),
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
        *((name, None) for name in ("", "stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence")),
        *((name, "truncated") for name in ("length", "max_tokens", "MAX_TOKENS", "model_length")),
        *((name, "content_filter") for name in ("content_filter", "content_filter: SAFETY", "refusal", "RECITATION")),
        *((name, "unfinished") for name in ("abort", "tool_calls", "error", "\ud800", "null")),
    ],
)
def test_the_end_of_a_reply_as_servers_call_it(finish, reason):
    assert verdict(chain(), finish=finish) == reason


def test_a_template_without_steps_asks_for_none():
    assert verdict("so", template="excerpt") is None
    assert verdict(chain(), template="excerpt") == "steps"


@pytest.mark.parametrize("words", LEAKS)
def test_a_leak_is_seen(words):
    assert leaks(words, MORE) and leaks(words.upper().replace(" ", "\n "), MORE) and not leaks(words[::-1], MORE)


@pytest.mark.parametrize("words", INNOCENT)
def test_what_only_sounds_like_a_leak_passes(words):
    assert not leaks(words, MORE)


def test_leaks_nobody_tuned_on():
    counts = [sum(leaks(words, MORE) for words in table) for table in (HELD_OUT_LEAKS, HELD_OUT_INNOCENT)]
    assert counts == [14, 3]


@pytest.mark.parametrize("strategy", ASKING)
def test_every_line_of_what_a_teacher_is_told_is_a_leak_or_copied(strategy):
    told = {
        "stepwise": [(stepwise, sample(), MORE), (stepwise, sample(image=None), SEM)],
        "guided": [(guided, sample(image=None), SEM), (guided, EXTRACTED, SCIER)],
        "distill": [(distill, sample(), MORE), (distill, EXTRACTED, SCIER)],
    }[strategy]
    for one, asked, spec in told:
        whole = one.messages(asked, spec, RUN)[0]["content"][-1]["text"]
        student = render(asked, spec, PromptSettings(template=one.template(asked)), RUN.images)[0]["content"][-1][
            "text"
        ]
        lines = [re.sub("<.*?>", "", line) for line in whole.removeprefix(student).splitlines()]
        lines = [line for line in lines if len(line.split()) > 4]  # not "- Decide."
        assert len(lines) > 4 and not [line for line in lines if not (leaks(line, spec) or copied(line))]


def test_a_copied_instruction_is_named_and_talk_of_the_same_things_passes():
    step = "say  what the PICTURES show, and what part the cropped object plays in the whole!"
    assert verdict(chain(step1=step)) == "copied"
    assert verdict(chain(step4="The type of the head and the type of the tail are per and misc.")) is None
    assert verdict(chain(step5=f"The relations that may join these two types in this order are {OPEN}.")) is None
    assert verdict(chain(step3="Does something the text names correspond to the head? Ana does.")) is None


def test_a_gate_can_be_passed_over_by_its_name():
    faults = {
        "leak": chain(step3="the gold label says so."),
        "copied": chain(step3="Decide whether the picture bears on the text, and why."),
        "candidates": chain(step5="awarded."),
        "other_conclusion": chain(step6="So /per/misc/party."),
        "evidence": chain(step3="a 'hero'."),
    }
    for name, think in faults.items():
        assert [verdict(think, gates=ANY.model_copy(update={"skip": skip})) for skip in ((), (name,))] == [name, None]
    # what is left of the chain is judged all the same
    both = chain(step3="the gold label says 'hero'.")
    assert verdict(both, gates=ANY.model_copy(update={"skip": ("leak",)})) == "evidence"
    assert verdict(chain(), "none", gates=ANY.model_copy(update={"skip": tuple(faults)})) == "wrong_answer"
    for name in ("evidense", "wrong_answer", "truncated"):
        with pytest.raises(ValidationError, match="'no_evidence'"):
            GateSettings(skip=(name,))


def test_length_is_counted_in_words_of_the_reasoning():
    limits = GateSettings(min_words=3, max_words=4)
    said = {n: verdict(" a\n" * n, template="guided", gates=limits) for n in (2, 3, 4, 5)}
    assert said == {2: "too_short", 3: None, 4: None, 5: "too_long"}
    words = len(chain().split()) - 12  # without the heads
    exact = {n: verdict(chain(), gates=GateSettings(min_words=n, max_words=n)) for n in (words, words + 1)}
    assert exact == {words: None, words + 1: "too_short"}


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
        *(
            "the type of ",
            "the title 'a' ",
            "the gold is a",
            "known to be ",
            "per (a or ",
            "( e1 , ",
            "no 'q' ",
            "so ",
            "a. ",
        ),
        *("told me a ", "'awarded' ", "'per per' "),
    ],
)
@pytest.mark.parametrize("step", ["step1", "step3", "step4", "step5", "step6"])
def test_long_hostile_replies_end_soon(piece, step, request):
    hostile = piece * ((LONGEST - 1000) // len(piece))
    texts = (render_completion(chain(**{step: "awarded " + hostile}), GOLD), render_completion(hostile, GOLD), hostile)
    gc.collect()
    gc.disable()  # what other tests left on the heap is not judge's
    request.addfinalizer(gc.enable)
    for text, template in zip(texts, ("stepwise", "guided", "stepwise"), strict=True):
        start = time.process_time()
        judge(text, "stop", sample(image=None), MORE, template, ANY)
        assert time.process_time() - start < 0.5


def test_a_reply_longer_than_any_chain_is_not_read():
    assert judge("a" * (LONGEST + 1), "stop", sample(), MORE, "stepwise", ANY) == "too_long"
