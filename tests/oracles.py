"""Second implementations of the published scoring rules, for the property tests.

Each is a literal transcription of its rule, slow and plain, and shares no code with morerl.scoring. Rates are in
per cent. An answer is None where the completion could not be parsed. Sources: SemEval-2010 Task 8 scorer v1.2
(Hendrickx et al., S10-1006), the micro figure without `none` of MORE, R1-RE's Avg@K and Pass@K, SciER's evaluator
(EMNLP 2024), and the one-type-a-prompt string sets of "Reinforcement Learning Meets NER" (2025).
"""

from collections import Counter
from functools import partial
from itertools import combinations, product

from morerl.schema import Extraction

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


def lines(key, proposed):
    """Right, given and gold of every label as it stands, from what was answered."""
    pairs = list(zip(key, proposed, strict=True))
    return {
        x: (sum(g == p == x for g, p in pairs), sum(p == x for _, p in pairs), sum(g == x for g, _ in pairs))
        for x in {*key, *proposed} - {None}
    }


def track(rows, none):
    """Macro and micro of right, given, gold by label: a label that the key lacks has no term, and `none` has none."""
    scored = [row for x, row in rows.items() if row[2] and x != none]
    micro = prf(*(sum(row[i] for row in scored) for i in range(3)))
    return named("macro_", mean_prf([prf(*row) for row in scored])) | named("micro_", micro)


def sem2010(key, proposed, none="Other"):
    """Scorer v1.2: (9+1)-way with the direction by rules 1 to 3, its other two tracks, its three accuracies."""
    right, prop, wrong = Counter(), Counter(), Counter()
    pairs = list(zip(key, proposed, strict=True))
    for g, p in pairs:
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
    undirected = lines([base(g) for g in key], [p and base(p) for p in proposed])
    return {
        **track({x: (right[x], prop[x] + wrong[x], gold[x]) for x in gold}, none),
        **named("per_direction_", track(lines(key, proposed), none)),
        **named("undirected_", track(undirected, none)),
        "accuracy": rate(sum(p == g for g, p in pairs), len(pairs)),
        "accuracy_of_parsed": rate(sum(p == g for g, p in pairs), sum(p is not None for p in proposed)),
        "accuracy_unparseable_as_other": rate(sum((p or none) == g for g, p in pairs), len(pairs)),
    }


def more(key, proposed, labels, none="none"):
    """Accuracy over all; micro without `none`, where no answer is a given relation that is never right.

    Macro as in the report by class: every label of the task but `none`.
    """
    pairs, rows = list(zip(key, proposed, strict=True)), lines(key, proposed)
    right = sum(g == p != none for g, p in pairs)
    return {
        "accuracy": rate(sum(g == p for g, p in pairs), len(pairs)),
        **named("micro_", prf(right, sum(p != none for p in proposed), sum(g != none for g in key))),
        **named("macro_", mean_prf([prf(*rows.get(x, (0, 0, 0))) for x in labels if x != none])),
    }


def r1_re(key, pools, none="Other"):
    """Avg@K and Pass@K of the directed label; samples whose gold is Other are left out. `pools`: K answers a sample."""
    kept = [[p == g for p in answers] for g, answers in zip(key, pools, strict=True) if g != none]
    k = len(pools[0])
    columns = [rate(sum(column), len(kept)) for column in zip(*kept, strict=True)]
    return {f"avg@{k}": sum(columns) / k, f"pass@{k}": rate(sum(map(any, kept)), len(kept))}


# --- spans: one Extraction of gold and one answer a sample


def spot(entity, number):
    """Where an entity stands; one that the text does not hold stands alone."""
    return (entity.start, entity.end) if entity.start is not None else ("nowhere", number)


def words(entity, number=0):
    return " ".join(entity.text.split())


def entities(answer, where):
    return {(where(e, i), e.type) for i, e in enumerate(answer.entities)}


def triples(answer, where):
    """(head, label, tail); an argument that is no entity of the answer is known by its name."""
    at = {e.id: where(e, i) for i, e in enumerate(answer.entities)}
    found = set()
    for r in answer.relations:
        head, tail = (at.get(name, name if where is words else ("none", name)) for name in (r.head, r.tail))
        found.add((head, r.label, tail))
    return found


def either_way(links):
    """The same, but a symmetric relation has its two ends in one order."""
    turned = [(x, *(sorted((h, t), key=repr) if x in SYMMETRIC else (h, t))) for h, x, t in links]
    return {(h, x, t) for x, h, t in turned}


def set_counts(given, gold):
    return len(given & gold), len(given), len(gold)


def ner_counts(gold, answer, where=spot):
    """Rule 1: the same span and the same type."""
    return set_counts(entities(answer, where), entities(gold, where))


def rel_counts(gold, answer, where=spot, turn=set):
    """Rule 2: the ordered pair of spans and the label; types ignored."""
    return set_counts(turn(triples(answer, where)), turn(triples(gold, where)))


def rel_plus_counts(gold, answer, where=spot, turn=set):
    """Rule 3: also both spans are among the correctly typed ones of the answer; the denominators stay."""
    given, wanted = turn(triples(answer, where)), turn(triples(gold, where))
    typed = {span for span, _ in entities(gold, where) & entities(answer, where)}
    return sum({h, t} <= typed for h, _, t in given & wanted), len(given), len(wanted)


PARTS = {
    "ner": ner_counts,
    "rel": rel_counts,
    "rel_plus": rel_plus_counts,
    "string_ner": partial(ner_counts, where=words),
    "string_rel": partial(rel_counts, where=words),
    "string_rel_plus": partial(rel_plus_counts, where=words),
    "relaxed_rel": partial(rel_counts, turn=either_way),
    "relaxed_rel_plus": partial(rel_plus_counts, turn=either_way),
}


def micro(counts, golds, answers):
    """One part's figures: the counts of all samples summed; no answer gives nothing."""
    rows = [counts(gold, answer or Extraction()) for gold, answer in zip(golds, answers, strict=True)]
    return prf(*(sum(row[i] for row in rows) for i in range(3)))


def scier(golds, answers):
    """The official figures and those beside them; exact_match: all entities and typed relations, nothing else."""
    found = {}
    for part, counts in PARTS.items():
        found |= named(f"{part}_", micro(counts, golds, answers))
    exact = [
        a is not None and all(len({*c(g, a)}) == 1 for c in (ner_counts, rel_plus_counts))
        for g, a in zip(golds, answers, strict=True)
    ]
    return found | {"exact_match": rate(sum(exact), len(exact))}


def macro_of_gold(golds, answers):
    """The mean of F1 over the types that gold holds."""
    only = lambda one, kind: Extraction(entities=[e for e in one.entities if e.type == kind])  # noqa: E731
    read = [(gold, answer or Extraction()) for gold, answer in zip(golds, answers, strict=True)]
    kinds = {e.type for gold in golds for e in gold.entities}
    pairs = [zip(*((only(g, kind), only(a, kind)) for g, a in read), strict=True) for kind in sorted(kinds)]
    return mean_prf([micro(ner_counts, *both) for both in pairs])["f1"]


def blog_counts(gold, answer, *, possible_only=False):
    """One prompt a type: the set of strings of that type; a type that a model made up is a prompt without gold."""
    sums = [0, 0, 0]
    for kind in {e.type for e in (*gold.entities, *answer.entities)}:
        wanted, given = ({words(e) for e in one.entities if e.type == kind} for one in (gold, answer))
        if wanted or not possible_only:
            sums = [a + b for a, b in zip(sums, set_counts(given, wanted), strict=True)]
    return sums


# --- several completions of a sample, and two models


def sample_f1(counts, gold, answer):
    """1 where there is nothing to find and nothing was given, 0 where the completion could not be parsed."""
    if answer is None:
        return 0.0
    right, given, wanted = counts(gold, answer)
    return 2 * right / (given + wanted) if given + wanted else 1.0


def best(golds, pools, order):
    """Of each pool the first answer of the best (F1 of order[0], of order[1], ...) by gold."""
    chosen = []
    for gold, pool in zip(golds, pools, strict=True):
        values = [tuple(sample_f1(counts, gold, answer) for counts in order) for answer in pool]
        chosen.append(pool[values.index(max(values))])
    return chosen


def average(measure, key, pools):
    """Mean over the K columns of a figure of the whole corpus."""
    columns = [measure(key, list(column)) for column in zip(*pools, strict=True)]
    return sum(columns) / len(columns)


def pass_at(k, right):
    """Of all subsets of k completions the share that holds a right one; the mean over samples. `right`: bools."""
    shares = [rate(sum(map(any, subsets := list(combinations(row, k)))), len(subsets)) for row in right]
    return sum(shares) / len(shares)


def exact_p(measure, key, a, b):
    """The share of all ways to swap the two answers of samples that differ at least as much as a and b do."""
    observed = abs(measure(key, b) - measure(key, a))
    extreme = 0
    for swaps in product((False, True), repeat=len(key)):
        one = [y if swap else x for x, y, swap in zip(a, b, swaps, strict=True)]
        other = [x if swap else y for x, y, swap in zip(a, b, swaps, strict=True)]
        extreme += abs(measure(key, other) - measure(key, one)) >= observed - 1e-9
    return extreme / 2 ** len(key)
