"""Any samples at all, for the tests of corpora.jsonl and the interchange: hypothesis strategies."""

from hypothesis import strategies as st

from morerl.schema import Entity, Extraction, Gold, Mention, Region, Relation, Sample

SPLITS = ("train", "dev", "test", "extra-1")
ODD = [
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\0",
    "\x0b",
    "\x1c",
    "\x85",
    "\u2028",
    "\u202e",
    "\ufeff",
    '"',
    "'",
    "\\",
    "<e1>",
    "&",
]
PIECE = st.one_of(st.sampled_from([*ODD, "שלום", "مرحبا", "👩‍👩‍👧", "é", "e\u0301", " "]), st.text(max_size=4))
TEXT = st.lists(PIECE, min_size=1, max_size=12).map("".join).filter(bool)
HOSTILE = [
    "../../up",
    "/etc/x",
    "..",
    ".",
    "",
    "a\0b",
    "a/b",
    "A/B",
    "x" * 400,
    "X" * 400,
    "T1",
    "T2",
    "=",
    "a=2Fb",
    "CON",
    "\n",
]
ID = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8))
NAME = st.one_of(
    st.sampled_from(
        ["/per/org/member_of", "per_org_member_of", "Cause-Effect(e2,e1)", "Mention", "Region", "", "a b", "人"]
    ),
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=5),
)
SIDE = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: pair[0] != pair[1]).map(sorted)


@st.composite
def spans(draw, text, kind, type_, min_size=0):
    ids = draw(st.lists(ID, min_size=min_size, max_size=4, unique=True))
    made = []
    for id_ in ids:
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        made.append(kind(id=id_, start=start, end=end, text=text[start:end], type=draw(type_)))
    return tuple(made)


@st.composite
def regions(draw, taken):
    ids = draw(st.lists(ID.filter(lambda id_: id_ not in taken), max_size=2, unique=True))
    boxes = [tuple(zip(draw(SIDE), draw(SIDE), strict=True)) for _ in ids]
    types = [draw(st.one_of(st.none(), NAME)) for _ in ids]
    return tuple(
        Region(id=id_, box=(*low, *high), type=type_) for id_, (low, high), type_ in zip(ids, boxes, types, strict=True)
    )


@st.composite
def extractions(draw, text):
    entities = draw(spans(text, Entity, NAME))
    ids = st.sampled_from([entity.id for entity in entities] or [""])
    relations = draw(st.lists(st.builds(Relation, head=ids, tail=ids, label=NAME), max_size=3)) if entities else []
    return Extraction(entities=entities, relations=tuple(relations))


@st.composite
def samples(draw, id_, pictures):
    text, task = draw(TEXT), draw(st.sampled_from(["pair", "extract", "entities"]))
    mentions = draw(spans(text, Mention, st.one_of(st.none(), NAME), min_size=task == "pair"))
    image = draw(st.sampled_from([None, "a/0.jpg", "a&b c/é %41?.png"])) if pictures else None
    boxes = draw(regions({mention.id for mention in mentions})) if image else ()
    fields = {"id": id_, "corpus": draw(NAME), "split": draw(st.sampled_from(SPLITS)), "text": text, "task": task}
    fields |= {"image": image, "mentions": mentions, "regions": boxes}
    if task == "pair":
        role = st.sampled_from([item.id for item in (*mentions, *boxes)])
        return Sample(**fields, head=draw(role), tail=draw(role), gold=draw(st.none() | st.builds(Gold, label=NAME)))
    gold = draw(st.none() | extractions(text))
    if gold and task == "entities":
        gold = Extraction(entities=gold.entities)
    types = draw(st.sampled_from([(), tuple({entity.type for entity in gold.entities} if gold else ("per", "org"))]))
    return Sample(**fields, types=types, gold=gold)


@st.composite
def corpora(draw, pictures=True):
    """One to six samples of distinct ids, of any task, split, text and label."""
    ids = draw(st.lists(ID, min_size=1, max_size=6, unique=True))
    return [draw(samples(id_, pictures)) for id_ in ids]


def sorted_by_id(items):
    return sorted(items, key=lambda item: item.id)
