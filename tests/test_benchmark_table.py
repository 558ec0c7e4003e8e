"""The table puts ours beside the published rows: order, verdicts, markdown, JSON and the picture."""

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from morerl.benchmark import write_table
from morerl.benchmark.picture import to_png
from morerl.benchmark.published import published
from morerl.benchmark.table import OurRow, sections, to_json, to_markdown
from morerl.corpora.prepare import published as on_record
from morerl.errors import ConfigError, DataError
from morerl.schema import Metrics

CORPORA = ("more", "mnre", "umre", "sem2010", "scier", "conll2003", "wnut17", "crossner_ai", "crossner_science")


def whole(corpus):
    """The size of the test set, as far as it is on record."""
    return on_record(corpus).splits.get("test", {}).get("samples", 3036)


def ours(
    corpus="more",
    value=66.1,
    *,
    name="micro_f1",
    model="m",
    interval=(63.2, 69.0),
    note="",
    n=None,
    asked=None,
    **others,
):
    numbers = {"protocol": corpus, "n": n or whole(corpus), "per_label": {}, "confusion": {}}
    ci95 = {name: interval} if interval else {}
    metrics = Metrics(primary={"name": name, "value": value}, figures=others, ci95=ci95, **numbers)
    return OurRow(corpus=corpus, model=model, metrics=metrics, note=note, **(asked or {}))


def test_ours_come_first_and_theirs_by_the_primary_figure():
    (section,) = sections([ours(value=20.0, model="weak"), ours(value=60.0, model="strong", accuracy=80.0, odd=1.0)])
    assert [row.system for row in section.rows[:3]] == ["strong", "weak", "LLM-VGA"]
    assert section.rows[0].figures == {"micro_f1": 60.0, "accuracy": 80.0}
    values = [row.figures["micro_f1"] for row in section.rows[2:]]
    assert values == sorted(values, reverse=True) and len(values) == len(published("more"))
    (scier,) = sections([ours("scier", name="rel_f1")])
    has = ["rel_f1" in row.figures for row in scier.rows]
    assert has == sorted(has, reverse=True) and not has[-1]
    with pytest.raises(DataError, match="more is scored by accuracy and by micro_f1"):
        sections([ours(), ours(name="accuracy")])


@pytest.mark.parametrize(
    ("n", "asked", "reason"),
    [
        (60, {"limit": 60}, "ours are the first 60 samples of test; "),
        (3036, {"limit": 3036}, "ours are the first 3,036 samples of test; "),
        (3036, {"split": "dev"}, "ours are the 3,036 samples of dev; "),
        (3035, {}, "ours are 3,035 samples, the test set on record has 3,036; "),
    ],
)
def test_no_published_row_is_comparable_with_less_than_the_test_set(n, asked, reason):
    (section,) = sections([ours(model="other", asked={"split": asked.get("split", "test")}), ours(n=n, asked=asked)])
    theirs = {row.system: row for row in section.rows if not row.ours}
    assert not any(row.comparable for row in theirs.values())
    assert all(theirs[row.system].why == reason + row.why for row in published("more"))
    text = to_markdown([section])
    assert f"## more, {asked.get('split', 'test')}\n" in text and "| yes |" not in text
    assert ("the first" in section.rows[0].why + section.rows[1].why) == ("limit" in asked)
    (full,) = sections([ours()])
    assert any(row.comparable for row in full.rows)


def test_each_split_has_its_section():
    dev, test = sections([ours(asked={"split": "dev"}), ours()])
    assert (dev.title, test.title) == ("more, dev", "more, test")
    assert [to_json([one])["corpora"][0]["split"] for one in (dev, test)] == ["dev", "test"]
    (unknown,) = sections([ours("umre", n=5)])
    assert unknown.rows[1].why in {row.why for row in published("umre")}


def test_markdown_holds_the_interval_blanks_and_verdicts():
    part = {"one_entity_one_object/accuracy": 81.25}
    text = to_markdown(
        sections([ours(model="a|b_<i>", note="first 200 | only", **part), ours("mine", name="f1", odd=2)])
    )
    assert r"| **a\|b\_\<i\>** | **66.10** (63.20 to 69.00) |  |  |  | n = 3,036; first 200 \| only |" in text
    assert "| MORE-R1 | 67.8 | accuracy 84.91, micro_precision 65.88, micro_recall 69.83 |" in text
    assert "(second-hand) | yes | Same micro figure, same 3,036 facts: rebuilt counts agree. |" in text
    assert "| one_entity_one_object/accuracy | 81.25 | 80 |  |  |" in text
    assert "| macro_f1" not in text and "| **m** | **66.10** (63.20 to 69.00) | odd 2.00 |" in text
    for block in text.split("\n\n"):
        lines = [line.replace(r"\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


def test_everything_is_written_and_json_holds_every_figure(tmp_path):
    rows = [ours(), *(ours(corpus, name="f1", interval=None) for corpus in CORPORA[1:])]
    written = write_table(rows, tmp_path / "new")
    assert [path.name for path in written.files] == ["table.md", "table.json", "table.png"] and not written.problem
    data = json.loads(written.files[1].read_text(encoding="utf-8"))
    assert data == to_json(sections(rows)) and [one["corpus"] for one in data["corpora"]] == list(CORPORA)
    more = {row["system"]: row for row in data["corpora"][0]["rows"]}
    assert more["m"]["ours"] and more["m"]["interval"] == [63.2, 69.0] and more["m"]["comparable"] is None
    assert more["MOREformer"]["figures"]["multi_object_second/micro_f1"] == 73.93
    with Image.open(written.files[2]) as picture:
        assert picture.format == "PNG" and picture.width == 1200 and picture.height > 3000
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(213, 94, 0), (0, 114, 178), (227, 236, 243)} <= colours
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"table.md", "table.json", "table.png"}


def test_without_matplotlib_the_rest_is_written_and_the_remedy_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    _, files, problem = write_table([ours()], tmp_path)
    assert [path.name for path in files] == ["table.md", "table.json"] and all(path.is_file() for path in files)
    assert problem == "the picture needs matplotlib: uv pip install --override constraints.txt --editable '.[plots]'"
    with pytest.raises(ConfigError, match="needs matplotlib"):
        to_png(sections([ours()]), tmp_path / "x.png")


@settings(max_examples=15, deadline=None)
@given(name=st.text(min_size=1, max_size=300), value=st.floats(0, 100))
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name_can_be_written_and_drawn(tmp_path_factory, name, value):
    table = sections([ours("of my own", value, model=name, note=name, interval=(0.0, 100.0))])
    assert len(to_markdown(table).splitlines()) == 9
    to_png(table, tmp_path_factory.mktemp("any") / "table.png")
