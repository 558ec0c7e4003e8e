"""Gold and answers drawn at random for the property tests: few places, types and labels, so that much coincides."""

from hypothesis import strategies as st

from morerl.guidelines import load_spec
from morerl.schema import Entity, Extraction, Gold, Mention, Relation, Sample

SCIER, NER = load_spec("scier"), load_spec("wnut17")
TYPES, LABELS = ("Method", "Task"), ("Used-For", "Synonym-Of", "Compare-With", "Part-Of")
TEXT = "ab cd ab ef"
PLACES = [(0, 2), (3, 5), (6, 8), (9, 11), (0, 5), (3, 8)]  # nested, overlapping, and one string twice


def entity(number, start, end, kind, text=TEXT):
    return Entity(id=f"e{number}", text=text[start:end], type=kind, start=start, end=end)


def lost(number, string, kind):
    return Entity(id=f"e{number}", text=string, type=kind)


def made(*rows, links=(), text=TEXT):
    """An extraction of rows (start, end, type) or (string, type) and of links (row, label, row)."""
    found = tuple(lost(i, *row) if len(row) == 2 else entity(i, *row, text) for i, row in enumerate(rows))
    joined = tuple(Relation(head=f"e{head}", label=label, tail=f"e{tail}") for head, label, tail in links)
    return Extraction(entities=found, relations=joined)


@st.composite
def extractions(draw, *, places=PLACES, types=TYPES, labels=LABELS, gold=False, text=TEXT):
    """Up to five entities and five relations; unless gold also strings of no place, wrong types, loose ends."""
    placed = st.builds(lambda place, kind: (*place, kind), st.sampled_from(places), st.sampled_from(types))
    strange = st.tuples(st.sampled_from(["ab", "cd", "zz", ""]), st.sampled_from([*types, "Made-Up"]))
    rows = draw(st.lists(placed if gold else placed | placed | strange, max_size=5))
    ends = st.integers(0, len(rows) - 1 if gold else len(rows))
    link = st.tuples(ends, st.sampled_from(labels if gold else [*labels, "Made-Up"]), ends)
    return made(*rows, links=draw(st.lists(link, max_size=5)) if labels and rows else (), text=text)


def samples(golds, *, task="extract", text=TEXT):
    return [
        Sample(id=f"s{i}", corpus="c", split="test", text=text, task=task, gold=gold) for i, gold in enumerate(golds)
    ]


def pair_samples(labels):
    mention = (Mention(id="m0", start=0, end=1, text="a"),)
    head = {"corpus": "c", "split": "test", "text": "ab", "mentions": mention, "head": "m0", "tail": "m0"}
    return [Sample(id=f"s{i}", gold=Gold(label=x), **head) for i, x in enumerate(labels)]


def questions(k=1):
    """For each of one to five samples (gold, k answers); an answer may be None, or gold itself."""
    answers = lambda gold: st.lists(extractions() | st.just(gold) | st.none(), min_size=k, max_size=k)  # noqa: E731
    one = extractions(gold=True).flatmap(lambda gold: st.tuples(st.just(gold), answers(gold)))
    return st.lists(one, min_size=1, max_size=5)


def figures(metrics):
    """Every figure by name, the primary one too."""
    return metrics.figures | {metrics.primary["name"]: metrics.primary["value"]}
