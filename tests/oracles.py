"""Second implementations of the published scoring rules, for the property tests.

Each is a literal transcription of its rule, slow and plain, and shares no code with morerl.scoring. Rates are in
per cent. An answer is None where the completion could not be parsed. Sources: SemEval-2010 Task 8 scorer v1.2
(Hendrickx et al., S10-1006), the micro figure without `none` of MORE, R1-RE's Avg@K and Pass@K, SciER's evaluator
(EMNLP 2024), and the one-type-a-prompt string sets of "Reinforcement Learning Meets NER" (2025).
"""

from collections import Counter
from itertools import combinations, product

SYMMETRIC = ("Synonym-Of", "Compare-With")


def rate(part, whole):
    return 100 * part / whole if whole else 0.0


def prf(right, given, gold):
    """Precision, recall and their harmonic mean from three counts."""
    p, r = rate(right, given), rate(right, gold)
    return {"precision": p, "recall": r, "f1": 2 * p * r / (p + r) if p + r else 0.0}


def named(prefix, figures):
    return {f"{prefix}{name}": value for name, value in figures.items()}


def base(label):
    return label.partition("(")[0]


# --- pairs: a key and what was proposed, one label a sample


def mean_prf(rows):
    return {name: sum(row[name] for row in rows) / len(rows) if rows else 0.0 for name in ("precision", "recall", "f1")}


def sem2010(key, proposed, none="Other"):
    """Scorer v1.2: (9+1)-way with the direction, rules 1 to 3, then its other lines."""
    right, prop, wrong = Counter(), Counter(), Counter()
    for g, p in zip(key, proposed, strict=True):
        if p is None:
            continue  # a skipped id
        if p == g:
            right[base(g)] += 1
            prop[base(p)] += 1
        elif base(p) == base(g):
            wrong[base(g)] += 1
        else:
            prop[base(p)] += 1
    gold = Counter(base(g) for g in key)
    scored = [x for x in gold if x != none]
    every = [x for x in {*gold, *prop, *wrong} if x != none]
    totals = [sum(c[x] for x in every) for c in (right, prop, wrong, gold)]
    return {
        "macro_f1": mean_prf([prf(right[x], prop[x] + wrong[x], gold[x]) for x in scored])["f1"],
        **named("micro_", prf(totals[0], totals[1] + totals[2], totals[3])),
        "per_direction_macro_f1": plain(key, proposed, none)["macro_f1"],
        "undirected_macro_f1": plain([base(g) for g in key], [p and base(p) for p in proposed], none)["macro_f1"],
        "accuracy": rate(sum(p == g for g, p in zip(key, proposed, strict=True)), len(key)),
        "accuracy_other": rate(sum((p or none) == g for g, p in zip(key, proposed, strict=True)), len(key)),
    }


def plain(key, proposed, none):
    """One line a label as it stands; macro over the labels of the key, `none` in neither mean."""
    pairs = list(zip(key, proposed, strict=True))
    rows = {
        x: (sum(g == p == x for g, p in pairs), sum(p == x for _, p in pairs), sum(g == x for g, _ in pairs))
        for x in {*key, *proposed} - {none, None}
    }
    return {
        **named("macro_", mean_prf([prf(*row) for x, row in rows.items() if x in key])),
        **named("micro_", prf(*(sum(row[i] for row in rows.values()) for i in range(3)))),
    }


def more(key, proposed, none="none"):
    """Accuracy over all; micro without `none`; no answer is a given relation that is never right."""
    pairs = list(zip(key, proposed, strict=True))
    right = sum(g == p != none for g, p in pairs)
    return {
        "accuracy": rate(sum(g == p for g, p in pairs), len(pairs)),
        **named("micro_", prf(right, sum(p != none for _, p in pairs), sum(g != none for g in key))),
        **named("macro_", {name[6:]: v for name, v in plain(key, proposed, none).items() if name.startswith("macro_")}),
    }


def r1_re(key, runs, none="Other"):
    """Avg@K and Pass@K of the directed label, samples whose gold is Other left out; `runs`: K answers a sample."""
    kept = [[p == g for p in answers] for g, answers in zip(key, runs, strict=True) if g != none]
    k = len(runs[0])
    columns = [rate(sum(row[i] for row in kept), len(kept)) for i in range(k)]
    return {f"avg@{k}": sum(columns) / k, f"pass@{k}": rate(sum(any(row) for row in kept), len(kept))}


def pass_at(k, right):
    """Over all subsets of k completions: how many hold a right one; the mean over the samples. `right`: bools."""
    shares = [rate(sum(map(any, subsets := list(combinations(row, k)))), len(subsets)) for row in right]
    return sum(shares) / len(shares)


# --- spans: Extraction against Extraction, one sample each


def spot(entity):
    """Where an entity stands; what the text does not hold is known by its string, and never right."""
    return (entity.start, entity.end) if entity.start is not None else entity.text


def ner_set(answer):
    return {(spot(e), e.type) for e in answer.entities}


def rel_set(answer):
    """(head span, label, tail span); an argument that is no entity is known by its name."""
    at = {e.id: spot(e) for e in answer.entities}
    return {(at.get(r.head, r.head), r.label, at.get(r.tail, r.tail)) for r in answer.relations}


def relaxed(triples):
    return {(*sorted((h, t), key=repr), x) if x in SYMMETRIC else (h, t, x) for h, x, t in triples}


def rel_counts(gold, answer):
    right = rel_set(gold) & rel_set(answer)
    return len(right), len(rel_set(answer)), len(rel_set(gold))


def rel_plus_counts(gold, answer):
    """Right as above, and both spans among the correctly typed ones of the answer."""
    typed = {span for span, _ in ner_set(gold) & ner_set(answer)}
    right = {(h, x, t) for h, x, t in rel_set(gold) & rel_set(answer) if h in typed and t in typed}
    return len(right), len(rel_set(answer)), len(rel_set(gold))


def set_counts(key):
    def counts(gold, answer):
        return len(key(gold) & key(answer)), len(key(answer)), len(key(gold))

    return counts


def string_ner(answer):
    return {(e.text, e.type) for e in answer.entities}


def string_rel(answer):
    text = {e.id: e.text for e in answer.entities}
    return {(text.get(r.head, r.head), r.label, text.get(r.tail, r.tail)) for r in answer.relations}


def string_rel_plus(answer):
    """The type of a string is that of the first entity that has it."""
    first = {e.text: e.type for e in reversed(answer.entities)}
    return {((h, first.get(h)), x, (t, first.get(t))) for h, x, t in string_rel(answer)}


PARTS = {
    "ner": set_counts(ner_set),
    "rel": rel_counts,
    "rel_plus": rel_plus_counts,
    "string_ner": set_counts(string_ner),
    "string_rel": set_counts(string_rel),
    "string_rel_plus": set_counts(string_rel_plus),
    "relaxed_rel": set_counts(lambda answer: relaxed(rel_set(answer))),
}
