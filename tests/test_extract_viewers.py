"""Results as spaCy and displaCy take them."""

from itertools import pairwise

import pytest
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


def test_a_spacy_doc_has_the_entities_as_spans():
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed (pip install 'morerl[spacy]')")
    doc = RESULT.to_spacy(spacy.blank("en"))
    assert [(span.text, span.label_, span.id_) for span in doc.spans["morerl"]] == [
        ("Ada Hale", "per", "e1"), ("Hale", "per", "e2"), ("Lyon", "loc", "e3"),
    ]  # fmt: skip
    assert [ent.text for ent in doc.ents] == ["Ada Hale", "Lyon"]
    assert doc.user_data["morerl"]["relations"][0]["label"] == "home of"
    for style in ("ent", "span", "dep"):
        html = spacy.displacy.render(RESULT.to_displacy(style), style=style, manual=True, jupyter=False)
        assert "Lyon" in html


def test_without_spacy_it_says_how_to_get_it(monkeypatch):
    import sys

    from morerl.errors import ConfigError

    monkeypatch.setitem(sys.modules, "spacy.util", None)
    with pytest.raises(ConfigError, match="pip install"):
        RESULT.to_spacy(None)
