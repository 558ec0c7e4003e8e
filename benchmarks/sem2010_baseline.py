"""A floor for SemEval-2010 Task 8: logistic regression on the words of a sentence, no pretrained model.

    python -m benchmarks.sem2010_baseline SEMEVAL_FOLDER --out runs/sem2010_baseline/metrics.json

Features are the words and word pairs between the two entities, the entities' own words, and one word on
either side. The regularisation is chosen on dev; the model that meets the test set is then trained on
train and dev together. What any trained language model adds is what it scores above this.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from morerl.corpora.sem2010 import read
from morerl.guidelines import load_spec
from morerl.jsonl import write_json
from morerl.schema import Metrics, Sample
from morerl.scoring import score

STRENGTHS = (0.3, 1.0, 3.0, 10.0)  # inverse of the penalty, scikit-learn's C
WORD = re.compile(r"\w+|[^\w\s]")


def main() -> None:
    """Prints the dev figures, then the test figures, and writes the latter as metrics.json."""
    options = _options()
    train, dev, test = (_split(options.raw_dir, split) for split in ("train", "dev", "test"))
    figures = {strength: _evaluate(_fit(train, strength), dev) for strength in STRENGTHS}
    for strength, metrics in figures.items():
        print(f"dev   C = {strength:<5} macro-F1 {_value(metrics):6.2f}")
    best = max(STRENGTHS, key=lambda strength: _value(figures[strength]))
    start = time.perf_counter()
    model = _fit([*train, *dev], best)
    metrics = _evaluate(model, test, settings={"model": "logistic regression", "C": best})
    print(f"trained on {len(train) + len(dev)} items and scored in {time.perf_counter() - start:.0f} s")
    _print_table(metrics)
    if options.out:
        write_json(options.out, metrics.model_dump(mode="json"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Logistic regression on SemEval-2010 Task 8.")
    parser.add_argument("raw_dir", type=Path, help="folder of the full release, unpacked")
    parser.add_argument("--out", type=Path, help="where to write metrics.json")
    return parser.parse_args()


def _split(raw_dir: Path, split: str) -> list[Sample]:
    return [item for item in read(raw_dir, split) if isinstance(item, Sample)]


def features(sample: Sample) -> dict[str, int]:
    """Indicator features of one sample, lower-cased, each named by where the word stands."""
    e1, e2 = sample.mentions
    between = _words(sample.text[e1.end : e2.start])
    before, after = _words(sample.text[: e1.start])[-1:], _words(sample.text[e2.end :])[:1]
    placed = {
        "between": between,
        "pair": [f"{a} {b}" for a, b in zip(["<e1>", *between], [*between, "<e2>"], strict=True)],
        "all": [" ".join(between)],
        "e1": _words(e1.text),
        "e2": _words(e2.text),
        "before": before or ["<start>"],
        "after": after or ["<end>"],
    }
    return {f"{place}={word}": 1 for place, words in placed.items() for word in words}


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _fit(samples: Sequence[Sample], strength: float) -> Pipeline:
    model = make_pipeline(DictVectorizer(), LogisticRegression(C=strength, max_iter=300))
    return model.fit([features(sample) for sample in samples], [_gold(sample) for sample in samples])


def _gold(sample: Sample) -> str:
    if sample.gold is None:
        raise SystemExit(f"{sample.id} has no label: is TEST_FILE_FULL.TXT missing?")
    return sample.gold.label


def _evaluate(
    model: Pipeline, samples: Sequence[Sample], *, settings: dict[str, str | int | float | None] | None = None
) -> Metrics:
    answers = [str(answer) for answer in model.predict([features(sample) for sample in samples])]
    return score(samples, answers, load_spec("sem2010"), settings=settings)


def _value(metrics: Metrics) -> float:
    return float(metrics.primary["value"])


def _print_table(metrics: Metrics) -> None:
    print(f"\n{'relation':<20}{'P':>8}{'R':>8}{'F1':>8}{'gold':>7}")
    for name, row in metrics.per_label.items():
        print(f"{name:<20}{row['precision']:8.2f}{row['recall']:8.2f}{row['f1']:8.2f}{row['gold']:7.0f}")
    low, high = metrics.ci95["macro_f1"]
    print(f"\nofficial macro-F1 {_value(metrics):.2f} (95% {low:.2f} to {high:.2f}) on {metrics.n} items")
    for name in ("accuracy", "micro_f1", "per_direction_macro_f1", "undirected_macro_f1"):
        print(f"{name:<24}{metrics.figures[name]:6.2f}")


if __name__ == "__main__":
    main()
