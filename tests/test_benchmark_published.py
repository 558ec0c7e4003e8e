"""The published rows say what their sources say, and a file of rows that does not hold together is named."""

import pytest

from morerl.benchmark.published import ROWS, published, read_rows
from morerl.errors import DataError

CORPORA = ("more", "mnre", "umre", "sem2010", "scier", "conll2003", "wnut17", "crossner_ai", "crossner_science")
# accuracy, precision, recall, F1: arXiv 2312.09753 and 2603.09478
MORE = {
    "BERT+SG": (61.79, 29.61, 41.27, 34.48),
    "BERT+SG+Att": (63.74, 31.10, 39.28, 34.71),
    "MEGA": (65.97, 33.30, 38.53, 35.72),
    "IFAformer": (79.28, 55.13, 54.24, 54.68),
    "MKGformer": (80.17, 55.76, 53.74, 54.73),
    "VisualBERT": (82.84, 58.18, 61.22, 59.66),
    "ViLBERT": (83.50, 62.53, 59.73, 61.10),
    "MOREformer": (83.50, 62.18, 63.34, 62.75),
    "REMOTE": (83.64, 63.21, 64.63, 63.91),
    "Qwen2.5-VL-7B, zero-shot": (23.94, 25.81, 23.95, 24.84),
    "Qwen2.5-VL, SFT on all labels": (82.64, 55.08, 64.84, 59.56),
    "MORE-R1, stage 1 only": (83.33, 62.53, 62.84, 62.69),
    "MORE-R1": (84.91, 65.88, 69.83, 67.80),
}
MIXING = {
    "MORE-R1, unmixed": (84.15, 65.20),
    "MORE-R1, hard samples only": (82.64, 63.10),
    "MORE-R1, fixed 1:1 mixing": (84.52, 66.90),
}
# right, predicted, gold relations: rebuilt from the published rates, which they must give back
COUNTS = {
    "MORE-R1": (560, 850, 802),
    "MORE-R1, stage 1 only": (504, 806, 802),
    "Qwen2.5-VL, SFT on all labels": (520, 944, 802),
    "MOREformer": (508, 817, 802),
    "ViLBERT": (479, 766, 802),
    "MKGformer": (431, 773, 802),
}
# mentions, by strict IOB2, string sets over all types, over the types that occur
WNUT = {
    "Arcada": (39.98, 39.98, 39.96, 48.12),
    "Drexel-CCI": (26.30, 26.30, 26.01, 28.20),
    "FLYTXT": (38.35, 38.35, 38.09, 45.64),
    "MIC-CIS": (37.06, 37.30, 36.89, 46.20),
    "SJTU-Adapt": (40.42, 40.42, 40.11, 47.29),
    "SpinningBytes": (40.78, 41.31, 41.08, 47.62),
    "UH-RiTUAL (winner of the task)": (41.86, 41.86, 41.72, 46.91),
}
SCIER = {
    "Qwen2.5-7B, SFT": {"string_rel_f1": 42.22},
    "Qwen2.5-7B, GRPO": {"string_rel_f1": 48.84},
    "R2GRPO without MimicSFT": {"string_rel_f1": 54.59},
    "MimicSFT": {"string_rel_f1": 56.02},
    "R2GRPO* (MimicSFT, then R2GRPO)": {
        "string_ner_f1": 84.36,
        "string_rel_f1": 66.81,
        "string_rel_plus_f1": 65.95,
        "best@5/rel_f1": 74.38,
        "ood/string_rel_f1": 55.08,
        "ood/best@5/rel_f1": 66.74,
    },
    "HGERE": {"ner_f1": 86.85, "rel_f1": 62.32, "rel_plus_f1": 61.10},
    "HGERE, independent re-run": {"ner_f1": 84.7, "rel_f1": 58.9, "rel_plus_f1": 56.7},
    "Qwen2-72B, few-shot": {"string_ner_f1": 71.44, "string_rel_f1": 41.22},
}
ROUNDED = {  # sources with fewer than two digits: by how much F1 may miss that of their P and R
    "ISE, re-run by Yang & Gupta": 1.0,
    "HGERE, independent re-run": 0.05,
}


def figures(corpus):
    return {row.system: row.figures for row in published(corpus)}


def test_more_is_the_published_table():
    rows, names = figures("more"), ("accuracy", "micro_precision", "micro_recall", "micro_f1")
    assert {system: tuple(rows[system][name] for name in names) for system in MORE} == MORE
    assert {system: (rows[system]["accuracy"], rows[system]["micro_f1"]) for system in MIXING} == MIXING
    moreformer = rows["MOREformer"]
    assert [moreformer[f"several_entities_several_objects/{name}"] for name in names] == [84.43, 53.63, 52.47, 53.04]
    assert [moreformer[f"one_entity_one_object/{name}"] for name in names] == [80.00, 82.98, 82.11, 82.54]
    assert (moreformer["macro_f1"], rows["ViLBERT"]["macro_f1"], rows["MKGformer"]["macro_f1"]) == (50.02, 48.66, 43.57)
    for system, (right, said, gold) in COUNTS.items():
        rates = (100 * right / said, 100 * right / gold)
        assert rates == pytest.approx((rows[system]["micro_precision"], rows[system]["micro_recall"]), abs=0.005)


def test_wnut17_is_the_submissions_and_its_winner():
    rows, names = figures("wnut17"), ("f1", "strict_f1", "blog_f1", "blog_possible_f1")
    assert {system: tuple(row[name] for name in names) for system, row in rows.items()} == WNUT
    assert max(rows, key=lambda system: rows[system]["f1"]).startswith("UH-RiTUAL")
    assert all(row.comparable for row in published("wnut17"))


def test_scier_is_the_published_table():
    rows = figures("scier")
    for system, values in SCIER.items():
        assert {name: rows[system][name] for name in values} == values
    assert [row.system for row in published("scier") if row.comparable] == ["HGERE", "HGERE, independent re-run"]


def test_the_other_corpora_by_their_best_known_rows():
    assert figures("sem2010")["A-GCN 2021"] == {"macro_f1": 89.85}
    assert figures("sem2010")["UTD 2010 (SVM, winner of the task)"] == {"macro_f1": 82.19, "accuracy": 77.92}
    assert figures("conll2003")["ACE+doc"] == {"f1": 94.6}
    assert figures("conll2003")["GRPO, headline"] == {"blog_possible_f1": 88.4}
    assert figures("crossner_ai")["Just Pass Twice"]["f1"] == 71.9
    assert figures("crossner_science") == figures("crossner")
    assert figures("mnre")["LLM-VGA"] == {"micro_f1": 90.29}
    assert max(row["micro_f1"] for row in figures("umre").values()) == 69.17
    assert published("of_my_own") == published("../rows/more") == published("") == ()


@pytest.mark.parametrize("path", sorted(ROWS.glob("*.yaml")), ids=lambda path: path.stem)
def test_precision_recall_and_f1_agree_and_every_row_says_why(path):
    for row in read_rows(path):
        assert row.why.endswith(".") and len(row.why) < 140 and row.source == row.source.strip()
        for name, recall in row.figures.items():
            if name.endswith("recall"):
                precision, f1 = (row.figures[name.removesuffix("recall") + kind] for kind in ("precision", "f1"))
                off = abs(f1 - 2 * precision * recall / (precision + recall))
                # a macro F1 is a mean of F1 and no function of mean P and R
                assert name.startswith("macro_") or off <= ROUNDED.get(row.system, 0.02), (row.system, name)


def test_every_corpus_has_rows_and_no_other_file_hides():
    assert all(published(corpus) for corpus in CORPORA)
    stems = {path.stem for path in ROWS.iterdir()}
    assert stems == {*CORPORA, "crossner"} - {"crossner_science"}


GOOD = "{system: A, kind: k, figures: {f1: 1}, source: s, evidence: paper, comparable: true, why: w.}"
BAD = {
    "what is this": "valid tuple",
    "- " + GOOD.replace("f1: 1", "f1: 101"): "row 0.figures.f1",
    "- " + GOOD.replace("f1: 1", "f1: .nan"): "row 0.figures.f1",
    "- " + GOOD.replace("{f1: 1}", "{}"): "row 0.figures",
    "- " + GOOD.replace("paper", "hearsay"): "row 0.evidence",
    "- " + GOOD.replace("why: w.", "why: ''"): "row 0.why",
    "- " + GOOD.replace(", why: w.", ""): "row 0.why",
    f"- {GOOD}\n- {GOOD}": "'A' has two rows",
    "- {a: [": "not valid YAML",
    "[" * 5000: "not valid YAML",
    "- !!python/object/apply:os.getcwd []": "not valid YAML",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_named(tmp_path, text):
    (tmp_path / "rows.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=BAD[text]) as caught:
        read_rows(tmp_path / "rows.yaml")
    assert "rows.yaml" in str(caught.value)
    with pytest.raises(DataError, match="cannot read"):
        read_rows(tmp_path / "none.yaml")
