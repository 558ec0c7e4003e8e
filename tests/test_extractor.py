"""The extractor against a real server of the tests' own: what it finds, where, and what it says of what it cannot."""

import asyncio
import json

import pytest
from extract_server import NAME, completion, extraction, names, shown
from openai_server import Served, failed, said

from morerl import Extractor
from morerl.errors import ConfigError, DataError
from morerl.extract.result import Result

TYPES = {"per": "a person", "loc": "a place"}
RELATIONS = {"lives in": {"definition": "The head has its home in the tail.", "head": ["per"], "tail": ["loc"]}}


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    running = []

    def start(reply, schema=TYPES, relations=RELATIONS, **options):
        running.append(Served(reply))
        made = Extractor.from_endpoint(running[-1].url, "m", schema=schema, relations=relations, **options)
        return made, running[-1]

    yield start
    for server in running:
        server.http.shutdown()
        server.http.server_close()


def always(text):
    return lambda body, number: said(text)


def test_a_text_gives_entities_with_places_and_relations_between_them(serve):
    reply = extraction([("Ada Hale", "per"), ("Lyon", "loc")], [("e1", "lives in", "e2")])
    extractor, server = serve(always(reply))
    result = extractor.extract("Ada Hale has moved to Lyon.")
    ada, lyon = result.entities
    assert (ada.text, ada.type, ada.start, ada.end, ada.status) == ("Ada Hale", "per", 0, 8, "exact")
    assert (lyon.text, lyon.start, lyon.end) == ("Lyon", 22, 26)
    assert [(r.head, r.label, r.tail, r.status) for r in result.relations] == [("e1", "lives in", "e2", "exact")]
    assert result.reasoning == "It says so." and result.problems == () and result.error is None
    prompt = server.bodies[0]["messages"][0]["content"][-1]["text"]
    assert "- per: a person" in prompt and "- lives in (per to loc): The head has its home in the tail." in prompt
    assert Result.model_validate(result.to_dict()) == result == Result.model_validate_json(result.to_json())


def test_nothing_that_was_written_is_left_out(serve):
    entities = [("ada  HALE", "per"), ("Lyon", "planet"), ("Zanzibar", "loc"), ("“Old\u00a0Port”", "loc"), ("", "per")]
    links = [("e1", "lives in", "e3"), ("e1", "likes", "e2"), ("e1", "lives in", "Rhône"), ("e9", "lives in", "e2")]
    text = 'In Lyon Ada\nHale saw the "old port" and the Rho\u0302ne.'
    result = serve(always(extraction(entities, links)))[0].extract(text)
    seen = {(e.text, e.type): (e.status, e.written, e.problems) for e in result.entities}
    assert seen == {
        ("Ada\nHale", "per"): ("normalised", "ada HALE", ()),
        ("Lyon", "planet"): ("exact", None, ("unknown_type",)),
        ('"old port"', "loc"): ("normalised", "“Old Port”", ()),
        ("Zanzibar", "loc"): ("not_found", None, ()),
        ("", "per"): ("not_found", None, ("bad_item",)),
        ("Rho\u0302ne", None): ("normalised", "Rhône", ("unknown_argument",)),
        ("e9", None): ("not_found", None, ("unknown_argument",)),
    }
    text_of = {e.id: e.text for e in result.entities}
    assert [(text_of[r.head], r.label, text_of[r.tail], r.status, r.problems) for r in result.relations] == [
        ("Ada\nHale", "lives in", "Zanzibar", "not_found", ()),
        ("Ada\nHale", "likes", "Lyon", "normalised", ("unknown_label",)),
        ("Ada\nHale", "lives in", "Rho\u0302ne", "normalised", ("unknown_argument",)),
        ("e9", "lives in", "Lyon", "not_found", ("unknown_argument",)),
    ]
    assert {"not_in_text", "unknown_type", "unknown_label", "unknown_argument", "bad_item"} <= set(result.problems)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("مرحبا من ليون يا ادا", "ليون"),
        ("🇫🇷 in 👩‍👩‍👧 Lyon 🎉", "Lyon"),
        ("a <img src=x onerror=alert(1)> b", "<img src=x onerror=alert(1)>"),
        ("[red]Lyon[/red] \x1b[31m", "[red]Lyon[/red]"),
    ],
)
def test_any_script_emoji_or_markup_keeps_its_place(serve, text, name):
    result = serve(always(extraction([(name, "loc")])))[0].extract(text)
    (found,) = result.entities
    assert (found.status, text[found.start : found.end]) == ("exact", name)
    assert json.loads(result.to_json())["text"] == text


def test_a_long_text_is_read_in_windows_and_every_place_is_that_of_the_whole(serve):
    sentence = "Then Name{} – «שלום» 🎉 –\nmet the next one, and so it went on for {} days."
    text = " ".join(sentence.format(n, "many " * (n % 9)) for n in range(150))
    assert len(text) > 10_000
    extractor, server = serve(names, schema=["name"], relations=["before"], window=700)
    result = extractor.extract(text)
    assert 15 < len(server.bodies) < 40 and all(len(shown(body)) <= 700 for body in server.bodies)
    expected = [(match.start(), match.group()) for match in NAME.finditer(text)]
    assert [(e.start, e.text) for e in result.entities] == expected and len(expected) == 150
    text_of = {e.id: e.text for e in result.entities}
    links = {(text_of[r.head], text_of[r.tail]) for r in result.relations}
    places = [match.span() for match in NAME.finditer(text)]
    inside = {
        (f"Name{n}", f"Name{n + 1}")
        for n in range(149)
        if any(w.start <= places[n][0] and places[n + 1][1] <= w.end for w in result.answers)
    }
    assert links == inside and len(links) > 120


def test_an_entity_cut_by_an_edge_is_the_whole_one_of_the_next_window(serve):
    text = "x " * 44 + "Name1Name2Name3 " + "y " * 60

    def reply(body, number):
        found = [word for word in shown(body).split() if len(word) > 1]
        return said(extraction([(word, "name") for word in found]))

    result = serve(reply, schema=["name"], relations=None, window=100)[0].extract(text)
    assert [e.text for e in result.entities] == ["Name1Name2Name3"]


_UNKNOWN = (("unknown_label",), completion("loves"))
PAIR = {"text": "Ada Hale lives in Lyon.", "mentions": ["Ada Hale", "Lyon"]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("lives in(e1,e2)", [("m0", "lives in", "m1")]),
        ("lives in(e2,e1)", [("m1", "lives in", "m0")]),
        ("none", []),
        ("loves", []),
    ],
)
def test_given_mentions_are_asked_about_pair_by_pair(serve, answer, expected):
    extractor, server = serve(always(completion(answer)))
    result = extractor.extract(**PAIR)
    assert [(r.head, r.label, r.tail) for r in result.relations] == expected
    assert len(server.bodies) == 1 and shown(server.bodies[0]) == "<e1>Ada Hale</e1> lives in <e2>Lyon</e2>."
    assert [e.status for e in result.entities] == ["exact", "exact"]
    (only,) = result.answers
    assert (only.problems, only.completion) == (_UNKNOWN if answer == "loves" else ((), None))


def test_a_pair_in_a_long_text_is_asked_where_both_stand_and_named_where_they_never_do(serve):
    text = "Ada Hale lives in Lyon. " + "Nothing happens. " * 60 + "Ben likes Lyon."
    extractor, server = serve(always(completion("lives in(e1,e2)")), window=300)
    mentions = [[0, 8], [18, 22], [text.index("Ben"), text.index("Ben") + 3]]
    result = extractor.extract(text, mentions=mentions)
    assert [(r.head, r.tail) for r in result.relations] == [("m0", "m1")] and len(server.bodies) == 1
    assert [(a.head, a.tail) for a in result.answers if a.problems == ("too_far_apart",)] == [
        ("m0", "m2"),
        ("m1", "m2"),
    ]


def test_one_bad_record_is_one_reported_record_and_the_order_is_kept(serve):
    extractor, server = serve(names, schema=["name"], relations=None)
    good = [f"Name{n} is here" for n in range(5)]
    bad = [
        "",
        "  \n",
        7,
        None,
        {"txt": "x"},
        {"text": "a\ud800"},
        {"text": "x", "mentions": ["y"]},
        {"id": 3, "text": []},
    ]
    mixed = [record for pair in zip(good, bad[:5], strict=True) for record in pair] + bad[5:]
    out = list(extractor.extract_many(mixed, batch_size=2))
    assert [r.entities[0].text for r in out if r.error is None] == [f"Name{n}" for n in range(5)]
    reasons = [r.error.reason for r in out if r.error is not None]
    assert reasons == [
        *("empty_text", "empty_text", "bad_record", "bad_record", "bad_text"),
        *("bad_text", "bad_mention", "bad_text"),
    ]
    assert [r.error is None for r in out[:10]] == [True, False] * 5 and out[-1].id == "3"
    assert all(json.loads(r.to_json()) for r in out) and len(server.bodies) == 5
    with pytest.raises(DataError, match="text is empty"):
        extractor.extract("")


def test_records_are_read_when_they_are_needed_and_results_come_as_they_are_there(serve):
    extractor, _ = serve(names, schema=["name"], relations=None)
    read = []

    def endless():
        number = 0
        while True:
            read.append(number)
            yield f"Name{number}"
            number += 1

    results = extractor.extract_many(endless(), batch_size=3)
    assert read == []
    assert [next(results).text for _ in range(4)] == ["Name0", "Name1", "Name2", "Name3"]
    assert len(read) == 12, "a server is never left waiting for the last of three"


def test_what_the_server_does_not_answer_is_a_named_problem(serve):
    extractor, _ = serve(lambda body, number: failed(400))
    result = extractor.extract("Ada lives in Lyon")
    assert result.problems == ("no_completion",) and result.entities == () and result.error is None


def test_it_works_inside_a_running_event_loop(serve):
    extractor, _ = serve(names, schema=["name"], relations=None)

    async def notebook():
        return extractor.extract("Name1 speaks")

    assert [e.text for e in asyncio.run(notebook()).entities] == ["Name1"]


def test_an_address_or_a_window_that_cannot_be_used_is_said_at_once():
    with pytest.raises(ConfigError, match="endpoint must be like"):
        Extractor.from_endpoint("ftp://x", "m", schema=["a"])
    with pytest.raises(ConfigError, match="window = 5"):
        Extractor.from_endpoint("http://127.0.0.1:1/v1", "m", schema=["a"], window=5)
    with pytest.raises(ConfigError, match="schema= is missing"):
        Extractor.from_endpoint("http://127.0.0.1:1/v1", "m")
