"""Results as spaCy and displaCy take them."""

from itertools import pairwise

import pytest
from extras import imported
from hypothesis import given
from hypothesis import strategies as st

from morerl.extract.result import FoundEntity, FoundRelation, Result
from morerl.extract.viewers import Ent, apart, spans
from morerl.schema import Region

TEXT = "Ada Hale of Lyon, 🎉!"


def entity(id_, start, end, type_="per", status="exact"):
    stands = TEXT[start:end] if start is not None else "Kite"
    return FoundEntity(id=id_, text=stands, type=type_, start=start, end=end, status=status)


RESULT = Result(
    text=TEXT,
    image="a.png",
    entities=(
        entity("e1", 0, 8), entity("e2", 4, 8), entity("e3", 12, 16, "loc"),
        entity("e4", None, None, status="not_found"),
    ),
    regions=(Region(id="r0", box=(0, 0, 1, 1)),),
    relations=(
        FoundRelation(head="e3", tail="e1", label="home of", status="exact"),
        FoundRelation(head="r0", tail="e3", label="shows", status="exact"),
        FoundRelation(head="e1", tail="e4", label="likes", status="not_found"),
    ),
)  # fmt: skip


def test_displacy_ent():
    ents = [{"start": 0, "end": 8, "label": "per"}, {"start": 12, "end": 16, "label": "loc"}]
    assert RESULT.to_displacy() == {"text": TEXT, "ents": ents}


def test_displacy_span():
    made = RESULT.to_displacy("span")
    assert made["tokens"] == ["Ada", "Hale", "of", "Lyon", ",", "🎉!"]
    assert [(s["start_token"], s["end_token"], s["label"]) for s in made["spans"]] == [
        (0, 2, "per"), (1, 2, "per"), (3, 4, "loc"),
    ]  # fmt: skip


def test_displacy_dep():
    made = RESULT.to_displacy("dep")
    assert [word["text"] for word in made["words"]] == ["[r0]", "Ada Hale", "of", "Lyon", ",", "🎉!"]
    assert made["arcs"] == [
        {"start": 1, "end": 3, "label": "home of", "dir": "left"},
        {"start": 0, "end": 3, "label": "shows", "dir": "right"},
    ]


@given(st.text(alphabet="ab 🎉\n", max_size=30), st.data())
def test_tokens_and_spans_give_the_entities_back(text, data):
    places = [i for i, c in enumerate(text) if not c.isspace()]
    pairs = st.tuples(st.sampled_from(places), st.sampled_from(places)) if places else st.nothing()
    chosen = data.draw(st.lists(pairs, max_size=5)) if places else []
    ents = [Ent(str(n), min(pair), max(pair) + 1, "x") for n, pair in enumerate(chosen)]
    made = spans(text, ents)
    assert "".join(made["tokens"]) == "".join(text.split())
    joined = ["".join(made["tokens"][s["start_token"] : s["end_token"]]) for s in made["spans"]]
    assert joined == ["".join(text[ent.start : ent.end].split()) for ent in ents]
    kept = apart(ents)
    assert all(one.end <= other.start for one, other in pairwise(kept))


@pytest.fixture(scope="module")
def spacy():
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield imported("spacy", monkeypatch)


@pytest.fixture(scope="module")
def nlp(spacy):
    return spacy.blank("en")


def test_a_spacy_doc_has_the_entities_as_spans_and_keeps_them_in_a_file(spacy, nlp):
    kept = spacy.tokens.DocBin(docs=[RESULT.to_spacy(nlp)], store_user_data=True).to_bytes()
    (doc,) = spacy.tokens.DocBin().from_bytes(kept).get_docs(nlp.vocab)
    assert [(span.text, span.label_, span.id_) for span in doc.spans["morerl"]] == [
        ("Ada Hale", "per", "e1"), ("Hale", "per", "e2"), ("Lyon", "loc", "e3"),
    ]  # fmt: skip
    assert [(ent.text, ent.label_, ent.id_) for ent in doc.ents] == [("Ada Hale", "per", "e1"), ("Lyon", "loc", "e3")]
    assert Result.model_validate(doc.user_data["morerl"]) == RESULT


ODD = "Ada-Hale's 👨‍👩‍👧🎉 \n\n x"


@pytest.mark.parametrize(
    ("start", "end", "widened"),
    [
        (0, 3, "Ada"),  # the tokenizer cuts at the hyphen and before 's
        (5, 7, "Hale"),
        (2, 6, "Ada-Hale"),
        (11, 12, "👨"),  # within a joined family
        (11, 16, "👨‍👩‍👧"),
        (14, 17, "\u200d👧🎉"),
        (16, 17, "🎉"),
    ],
)
def test_a_span_that_ends_within_a_token_is_widened_to_it(nlp, start, end, widened):
    odd = Result(text=ODD, entities=(FoundEntity(id="e", text=ODD[start:end], start=start, end=end, status="exact"),))
    doc = odd.to_spacy(nlp)
    assert [span.text for span in doc.spans["morerl"]] == [widened] and not doc.ents  # it has no type


@given(st.text(alphabet="aB.-' 🎉\u200d\n\u0301ש", max_size=24), st.data())
def test_every_entity_is_the_span_of_the_tokens_it_touches(nlp, text, data):
    cuts = st.integers(0, len(text))
    chosen = [tuple(sorted(pair)) for pair in data.draw(st.lists(st.tuples(cuts, cuts), max_size=5))]
    ents = [
        FoundEntity(id=str(n), text=text[a:b], type="x" if n % 2 else None, start=a, end=b, status="exact")
        for n, (a, b) in enumerate(chosen)
    ]
    doc = Result(text=text, entities=tuple(ents)).to_spacy(nlp)
    assert doc.text == text
    touched = [[t.i for t in doc if t.idx < one.end and one.start < t.idx + len(t)] for one in ents]
    wanted = [(one.id, tokens) for one, tokens in zip(ents, touched, strict=True) if one.text.strip()]
    assert [(span.id_, [token.i for token in span]) for span in doc.spans["morerl"]] == wanted
    assert all(a.end <= b.start for a, b in pairwise(doc.ents)) and {e.label_ for e in doc.ents} <= {"x"}
    assert bool(doc.ents) == any(span.label_ for span in doc.spans["morerl"])


@pytest.mark.parametrize("style", ["ent", "span", "dep"])
def test_displacy_draws_them_and_runs_nothing_that_a_model_wrote(spacy, style):
    bad = "<img src=x onerror=alert(1)>{0}"
    text = f"Ada {bad} Lyon"
    ents = tuple(
        FoundEntity(id=f"e{n}", text=text[a:b], type=bad, start=a, end=b, status="exact")
        for n, (a, b) in enumerate([(0, 3), (4, 4 + len(bad)), (len(text) - 4, len(text))])
    )
    link = FoundRelation(head="e0", tail="e2", label=bad, status="exact")
    regions = (Region(id="<b>r</b>", box=(0, 0, 1, 1)),)
    hostile = Result(text=text, image="a.png", entities=ents, relations=(link,), regions=regions)
    html = spacy.displacy.render(hostile.to_displacy(style), style=style, manual=True, jupyter=False)
    assert "&lt;img" in html and "Lyon" in html and "<img" not in html and "<b>" not in html
    html = spacy.displacy.render(RESULT.to_displacy(style), style=style, manual=True, jupyter=False)
    drawn = {"ent": ("Ada Hale", "loc"), "span": ("Hale", "per", "loc"), "dep": ("[r0]", "home of", "shows")}
    assert all(word in html for word in drawn[style])
    assert spacy.displacy.render(Result().to_displacy(style), style=style, manual=True, jupyter=False)


def test_without_spacy_it_says_how_to_get_it(monkeypatch):
    import sys

    from morerl.errors import ConfigError

    monkeypatch.setitem(sys.modules, "spacy.util", None)
    with pytest.raises(ConfigError, match=r"uv pip install --override constraints\.txt --editable '\.\[spacy\]'"):
        RESULT.to_spacy(None)
