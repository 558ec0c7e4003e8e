"""Steps 4 and 5 against each other: types that are plain, labels that are listed, and what is left alone."""

import pytest
from chains import MORE, OPEN, SEM, chain, sample, verdict

from morerl.teacher.candidates import types_of


@pytest.mark.parametrize(
    ("step4", "types"),
    [
        ("per and misc.", ("per", "misc")),
        ("The object is a person (per), the entity is misc.", ("per", "misc")),
        ("head: per; tail: misc", ("per", "misc")),
        ("**Head**: Per\n**Tail**: Org", ("per", "org")),
        ("As per the title he is per, and she is per.", ("per", "per")),
        ("tail: misc; head: per", None),
        ("The marked entity is misc, the object is per.", None),
        ("per or org, the entity misc", None),
        ("not org but per", None),
        ("The head isn’t loc, it is misc", None),
        ("a person and a prize", None),
        ("per, misc, so per and misc", None),
    ],
)
def test_types_are_read_where_step_4_is_plain(step4, types):
    assert types_of(step4, MORE) == types
    assert types_of(step4, SEM) is None  # a guideline without types


@pytest.mark.parametrize(
    ("step4", "step5", "ok"),
    [
        ("per, misc.", "none, party.", False),
        ("per, misc.", OPEN.replace("awarded", "unawarded"), False),
        ("per, misc.", "/per/misc/awarded", False),  # others are open too
        ("per, misc.", "per/misc/awarded or none", False),
        ("per, misc.", OPEN.replace(", president", ""), False),
        ("per, misc.", OPEN.replace(", none", ""), False),
        ("per, misc.", f"The open ones are {OPEN.replace(', none', ' and none')}.", True),
        ("per, misc.", "".join(f"\n- /per/misc/{name}" for name in OPEN.split(", ")[:-1]) + "\n- none", True),
        ("per, misc.", f"{OPEN}, opponent", False),
        ("per, misc.", f"{OPEN}, /per/per/opponent", False),
        ("per, misc.", f"{OPEN} (excluded: opponent, partner, /org/org/self)", True),
        ("per, misc.", f"{OPEN}; not opponent, none", True),
        ("per, misc.", f"not {OPEN.replace('present_in, ', '')}, present_in", False),
        ("per, misc.", "excluded: awarded, party, president, nationality. Left: none, present_in.", False),
        ("per, misc.", f"opponent and partner are ruled out, {OPEN} remain", True),
        ("per, misc.", f"no opponent is asked for, so {OPEN}", True),
        ("per, misc.", f"{OPEN}, since he is the winner's partner on stage", True),
        ("per, org.", "awarded, none", False),
        ("a person, a prize.", OPEN, False),  # no type at all
        ("Head: per (a person). Tail: misc (no place).", "awarded, opponent, none", True),
        ("per or org, misc.", OPEN, False),  # one argument has one type
        ("The head is either per (a person) or an org, the tail misc.", OPEN, False),
        ("The head is per, not loc or org, the tail misc.", OPEN, True),
    ],
)
def test_candidates_name_the_answer_and_keep_to_the_types(step4, step5, ok):
    assert verdict(chain(step4=step4, step5=step5)) == (None if ok else "candidates")


def test_labels_of_the_same_last_part_are_told_apart_and_none_stays_open():
    person, firm = "/per/per/alternate_names", "/org/org/alternate_names"
    for step4, step5, answer, reason in [
        ("org, org.", f"{firm}, subsidiary, none", firm, None),
        ("org, org.", "alternate_names, subsidiary, none", firm, None),
        ("org, org.", "org/org/self, org/org/subsidiary, none", firm, None),
        ("org, org.", person, firm, "candidates"),
        ("per, per.", f"{person}, {firm}", person, "candidates"),
        ("unclear: org.", person, firm, "candidates"),
        ("org, per.", "No label joins them: none.", "none", None),
    ]:
        think = chain(step4=step4, step5=step5, step6="it is so.")
        assert verdict(think, answer, one=sample(answer)) == reason, (step4, step5)


def test_a_guideline_without_types_asks_step_5_for_the_answer_alone():
    answer, other = "Cause-Effect(e1,e2)", "Entity-Origin(e2,e1)"
    for step5, reason in [
        (f"{answer}, {other}", None),
        ("Cause-Effect (e1, e2), Other", None),
        ("Cause-Effect, Other", None),  # without an order it stands for both
        (other, "candidates"),
        ("Cause-Effect(e2,e1)", "candidates"),
        ("Cause-Effect (e2, e1)", "candidates"),
    ]:
        one = sample(answer, image=None)
        assert verdict(chain(step5=step5, step6="the cause."), answer, one=one, spec=SEM) == reason, step5


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ("awarded.", True),
        ("He only takes part in the event, so /per/misc/present_in is the relation to choose.", False),
        ("present_in.", False),
        ("So it is present_in.", False),
        ("He is at the ceremony, like all who are present_in a hall.", True),  # nothing is concluded
        ("So he is at a party, party and guests, and the nationality is clear.", True),  # plain words
        ("party.", False),
        ("Not awarded, but /per/misc/party.", True),  # what denies is not read
        ("Not /per/misc/party but /per/misc/awarded.", True),
        ("/per/misc/party is too weak.", True),
        ("Although /per/misc/present_in may hold, the prize decides.", True),
        ("Unlike /per/misc/present_in, the prize is his.", True),
        ("He has it, rather than /per/misc/present_in; /per/misc/party is not said.", True),
        ("/per/misc/party and /per/misc/awarded.", True),
        ("the prize is his.", True),
    ],
)
def test_step_6_settles_on_the_answer(end, kept):
    assert verdict(chain(step6=end)) == (None if kept else "other_conclusion")


def test_none_is_settled_on_too():
    for end, reason in [
        ("He governs it, so /per/misc/president.", "other_conclusion"),
        ("No label fits: none.", None),
        ("Nothing supports /per/misc/president.", None),
    ]:
        assert verdict(chain(step6=end), "none", one=sample("none")) == reason, end


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ("Hence Cause-Effect(e1,e2).", True),
        ("The relation is Cause-Effect(e2,e1).", False),
        ("The relation is Cause-Effect (e2, e1)!", False),
        ("So the relation is Cause-Effect, and e1 is X.", True),
        ("I decide for Entity-Origin.", False),
        ("I decide for Entity-Origin(e1,e2). So it is.", True),  # only the last sentence
        ("Entity-Origin comes close, so e1 is X.", True),
        ("Entity-Origin falls short.", True),
        ("Hence Other.", True),  # an English word
    ],
)
def test_without_steps_the_last_sentence_settles_on_the_answer(end, kept):
    one, think = sample("Cause-Effect(e1,e2)", image=None), f"'Ana' wins. It may be Entity-Origin(e1,e2). {end}"
    reason = verdict(think, "Cause-Effect(e1,e2)", one=one, spec=SEM, template="guided")
    assert reason == (None if kept else "other_conclusion")
