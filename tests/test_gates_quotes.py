"""The gates on what a chain quotes: it stands in the text, or in the picture, or is said to be lacking."""

import pytest
from chains import TEXT, chain, sample, verdict

from morerl.guidelines import load_spec
from morerl.schema import Extraction, Sample
from morerl.settings import GateSettings

SCIER = load_spec("scier")


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


@pytest.mark.parametrize(
    ("step1", "kept"),
    [
        ("The title reads 'Bob wins the prize'.", False),
        ("The headline says that 'Bob' is here.", False),
        ("It fits the text about the 'Golden Quill'.", True),
        ("The text on the sign reads 'EXIT'.", True),
        ("The text 'EXIT' is printed on a shirt.", True),
        ("A sign reads 'EXIT'. The title is short.", True),
    ],
)
def test_what_the_steps_about_the_picture_quote_as_of_the_title_is_judged(step1, kept):
    assert verdict(chain(step1=step1)) == (None if kept else "evidence")
    assert verdict(chain(step1=step1, step3="'Bob wins the prize' names her.")) == "evidence"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("There is no 'made by' and no 'member of'.", True),
        ("Content-Container needs no verb such as 'put' or 'poured'.", True),
        ("It would need a word like 'won', which is absent.", True),
        ("The title doesn't say 'lost'.", True),
        ("Not only 'lost' stands there.", False),
        ("It has no verb. She 'lost' it.", False),
        ("'place of birth' and 'member of' are labels", True),
    ],
)
def test_a_word_that_the_text_is_said_to_lack_is_no_evidence(words, kept):
    assert verdict(chain(step3=words)) == (None if kept else "evidence")


def test_reasoning_on_a_text_quotes_it():
    plain = "It is clear from what everybody knows of prizes that this holds and nothing else does."
    one, two = plain + " So says 'Golden Quill'.", plain + " 'Golden Quill' and 'the golden quill', \"Ana's team\"."
    text = sample(image=None)
    for think, least, reason in [
        (plain, 1, "no_evidence"),
        (plain + " The title is no 'Silver Quill'.", 1, "no_evidence"),
        (one, 1, None),
        (one, 2, "no_evidence"),
        (two, 2, None),
        (plain, 0, None),
        ("wins the: no listed relation", 1, None),  # mimic's line quotes without marks
    ]:
        gates = GateSettings(min_words=0, quotes=least)
        assert verdict(think, one=text, template="guided", gates=gates) == reason, think
    stepped = GateSettings(min_words=0)
    assert verdict(chain(), gates=stepped) is None  # a picture may speak for itself
    assert verdict(chain(), one=text, gates=stepped) == "no_evidence"
    # an extraction of nothing has nothing to quote
    empty = Sample(id="s", corpus="c", split="train", text=TEXT, task="entities", gold=Extraction())
    assert verdict(plain, '{"entities": []}', one=empty, spec=SCIER, template="extract", gates=stepped) is None
