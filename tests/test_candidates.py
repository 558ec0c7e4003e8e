"""Steps 4 and 5 against each other: types that are plain, labels that are listed, and what is left alone."""

import pytest
from chains import MORE, SEM, chain, sample, verdict

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
        ("per, misc.", "none, unawarded.", False),
        ("per, misc.", "/per/misc/awarded", True),
        ("per, misc.", "per/misc/awarded or none", True),
        ("per, misc.", "The open ones are present_in, awarded, party and none.", True),
        ("per, misc.", "awarded, party, opponent, none", False),
        ("per, misc.", "awarded, /per/per/opponent", False),
        ("per, misc.", "awarded, none (excluded: opponent, partner, /org/org/self)", True),
        ("per, misc.", "awarded; not opponent, none", True),
        ("per, misc.", "party, not awarded, none", False),
        ("per, misc.", "excluded: awarded, party. Left: none.", False),
        ("per, misc.", "opponent and partner are ruled out, awarded and none remain", True),
        ("per, misc.", "no opponent is asked for, so awarded and party", True),
        ("per, misc.", "awarded, since he is the winner's partner on stage", True),
        ("per, org.", "awarded, none", False),
        ("a person, a prize.", "awarded, opponent, none", True),
        ("per or org, misc.", "awarded, opponent", True),
    ],
)
def test_candidates_name_the_answer_and_keep_to_the_types(step4, step5, ok):
    assert verdict(chain(step4=step4, step5=step5)) == (None if ok else "candidates")


def test_labels_of_the_same_last_part_are_told_apart_and_none_stays_open():
    person, firm = "/per/per/alternate_names", "/org/org/alternate_names"
    for step4, step5, answer, reason in [
        ("org, org.", firm, firm, None),
        ("org, org.", "alternate_names, none", firm, None),
        ("org, org.", "org/org/self, none", firm, None),
        ("org, org.", person, firm, "candidates"),
        ("per, per.", f"{person}, {firm}", person, "candidates"),
        ("unclear.", person, firm, "candidates"),
        ("org, per.", "No label joins them: none.", "none", None),
    ]:
        assert verdict(chain(step4=step4, step5=step5), answer, one=sample(answer)) == reason, (step4, step5)


def test_a_guideline_without_types_asks_step_5_for_the_answer_alone():
    answer, other = "Cause-Effect(e1,e2)", "Entity-Origin(e2,e1)"
    for step5, reason in ((f"{answer}, {other}", None), (other, "candidates"), ("Cause-Effect(e2,e1)", "candidates")):
        one = sample(answer, image=None)
        assert verdict(chain(step5=step5), answer, one=one, spec=SEM) == reason
