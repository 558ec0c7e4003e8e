"""The six steps at length: they speak of what is shown and of what the guideline has."""

import pytest
from test_prompts import IMAGES, MORE, PICTURED, SEM, sample

from morerl.prompts.render import fill
from morerl.settings import ImageSettings

BOTH = "a picture and the crops of two objects in it"


@pytest.mark.parametrize(
    ("asked", "views", "told"),
    [
        (PICTURED, ("full", "crop"), "a picture and the crop of one object in it"),
        (PICTURED, ("crop",), "the crop of one object in a picture"),
        (PICTURED, ("full",), "a picture"),
        (sample(boxes=[(0.1, 0.2, 0.3, 1.0)]), ("full", "crop"), "a picture"),  # two mentions: nothing to crop
        (sample(boxes=[(0, 0, 1, 0.5), (0, 0.5, 1, 1)], head="r0", tail="r1"), ("full", "crop"), BOTH),
    ],
)
def test_only_what_is_shown_is_spoken_of(asked, views, told):
    images = ImageSettings(views=views)
    text = fill("stepwise", asked, MORE, images)
    assert f"You are given {told}, and a news title" in text
    assert ("what part the cropped object" in text) == ("the one in the" in text) == ("crop" in told)
    assert text.count("the one in the crop") + text.count("the one in the first crop") == ("crop" in told)


def test_six_steps_about_a_guideline_without_types_and_with_directions():
    text = fill("stepwise", sample(), SEM, IMAGES)
    assert f"Answer with one of: {', '.join(SEM.answers)}." in text and SEM.direction in text
    assert "Content-Container(X,Y): " in text and "'<e1>a</e1> <e2>b</e2> c d e'" in text
    assert "type" not in text.replace("Type", "type").partition("Relations:")[0] and "Step 4: Say which role" in text
    assert [f"\nStep {number}: " in text for number in range(1, 8)] == [True] * 6 + [False]
