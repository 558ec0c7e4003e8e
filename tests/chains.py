"""Six-step chains of a teacher, and the gates' verdict on them: what the tests of the gates share."""

from morerl.guidelines import load_spec
from morerl.prompts.render import render_completion
from morerl.schema import Gold, Mention, Region, Sample
from morerl.settings import GateSettings
from morerl.teacher.gates import judge

MORE, SEM = load_spec("more"), load_spec("sem2010")
GOLD = "/per/misc/awarded"
ANY = GateSettings(min_words=0, max_words=10**9, quotes=0)
TEXT = "Ana's team wins the Golden Quill ... and the \"gold label\" of the Bears' league"
OPEN = "present_in, awarded, party, nationality, president, none"  # all that may join per and misc
STEPS = ["a person.", "it bears on it.", "the winner.", "per, misc.", f"{OPEN}.", "awarded."]


def chain(**changed):
    """Six steps; step3="..." puts other words there."""
    texts = [changed.get(f"step{number}", text) for number, text in enumerate(STEPS, 1)]
    return "\n".join(f"Step {number}: {text}" for number, text in enumerate(texts, 1))


def sample(label=GOLD, text=TEXT, image="x.png", name="Golden Quill"):
    start = text.index(name)
    names = (Mention(id="m0", start=0, end=3, text=text[:3]), Mention(id="m1", start=start, end=start + 12, text=name))
    regions = (Region(id="r0", box=(0.1, 0.1, 0.9, 0.9)),) if image else ()
    head = "r0" if image else "m0"
    one = {"id": "s", "corpus": "c", "split": "train", "text": text, "image": image, "mentions": names}
    return Sample(**one, regions=regions, head=head, tail="m1", gold=Gold(label=label))


def verdict(think, answer=GOLD, *, one=None, spec=MORE, template="stepwise", gates=ANY, finish="stop"):
    return judge(render_completion(think, answer), finish, one or sample(), spec, template, gates)
