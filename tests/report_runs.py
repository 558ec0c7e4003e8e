"""Run folders as the stages leave them, with texts, labels and pictures of every unkind sort."""

import json
from pathlib import Path

from PIL import Image, ImageDraw

from morerl.config import dump_settings
from morerl.prompts.extraction import write_extraction
from morerl.prompts.render import render_completion
from morerl.schema import Extraction, Prediction, Sample
from morerl.settings import Settings

HOSTILE = "<img src=x onerror=alert(1)>"
LABELS = ("none", "/per/misc/awarded", "/per/org/leader_of", HOSTILE)
TITLES = (
    "Nobel Economics Prize Goes to Pioneers in Reducing Poverty",
    f"A title with {HOSTILE} in it </script><script>alert(2)</script>",
    "جائزة نوبل تذهب إلى رواد الحد من الفقر",
    "Flags 🇫🇷👩‍👩‍👧 over the 🏟️ as fans arrive",
)


def sample(number: int, image: str | None = "a.png") -> Sample:
    text = TITLES[number % len(TITLES)]
    start = text.index(" ", 3) + 1
    regions = [
        {"id": "r0", "box": [0.1, 0.2, 0.4, 0.8]},
        {"id": "r1", "box": [0.5, 0.1, 0.9, 0.6], "type": "per"},
    ]
    return Sample.model_validate(
        {
            "id": f"more/test/{number:06d}",
            "corpus": "more",
            "split": "test",
            "text": text,
            "image": image,
            "mentions": [
                {"id": "m0", "start": start, "end": start + 6, "text": text[start : start + 6]},
                {"id": "m1", "start": 0, "end": 3, "text": text[:3]},
            ],
            "regions": regions if image else [],
            "head": "r0" if image else "m1",
            "tail": "m0",
            "gold": {"label": LABELS[number % len(LABELS)]},
        }
    )


def prediction(of: Sample, right: bool) -> Prediction:
    answer = of.gold.label if right else LABELS[(LABELS.index(of.gold.label) + 1) % 4]
    thought = "\n".join(f"Step {n}: what is seen here, {HOSTILE}, matters." for n in range(1, 7))
    return Prediction(id=of.id, completions=(f"<think>{thought}</think> <answer>{answer}</answer>",), answer=answer)


def metrics(value: float) -> dict:
    f1 = {"precision": value - 2, "recall": value + 2, "f1": value, "gold": 6, "predicted": 5}
    return {
        "protocol": "more",
        "n": 24,
        "primary": {"name": "micro_f1", "value": value},
        "figures": {
            "accuracy": value + 10,
            "micro_precision": value - 2,
            "unparseable": 4.2,
            "one_entity/n": 17.0,
            "one_entity/micro_f1": value - 7.77,
        },
        "per_label": {label: f1 for label in LABELS},
        "confusion": {label: {other: 3 + 9 * (label == other) for other in LABELS} for label in LABELS},
        "ci95": {"micro_f1": [value - 4, value + 4], "accuracy": [value + 7, value + 13]},
        "problems": {"no_answer_tag": 2},
        "settings": {"n": 1},
    }


def lines(path: Path, rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def windows() -> list[dict]:
    """Four epochs of 60 hard samples and 60, 30, 15, 7 easy ones; the last window is filled up."""
    whys = [(n, why) for n in range(1, 5) for why in ["hard"] * 60 + ["easy"] * (120 >> n)] + [(4, "fill")] * 4
    prompts = [{"id": str(at), "epoch": n, "why": why, "pass_rate": 0.5} for at, (n, why) in enumerate(whys)]
    return [{"window": 1 + at // 20, "prompts": prompts[at : at + 20]} for at in range(0, len(prompts), 20)]


def draw_pictures(root: Path) -> None:
    root.mkdir(parents=True)
    image = Image.new("RGB", (640, 480), "#8fb6d8")
    draw = ImageDraw.Draw(image)
    draw.ellipse((80, 110, 250, 380), fill="#d9534f")
    draw.rectangle((330, 60, 570, 280), fill="#3c763d")
    image.save(root / "a.png")
    (root / "broken.png").write_bytes(b"no picture at all")


def training_log(stage: str) -> list[dict]:
    rows = [{"step": n, "loss": 2 / n, "grad_norm": 1.0, "learning_rate": 1e-4} for n in range(1, 60)]
    if stage == "grpo":
        for row in rows:
            n = row["step"]
            row |= {f"rewards/{name}/mean": 1 - w / n for name, w in (("format", 1), ("length", 2), ("answer", 3))}
            row |= {"reward": 3 - 6 / n, "reward_std": 0.4, "frac_reward_zero_std": n / 80, "kl": n / 1e4}
            row |= {"completions/mean_length": 200 + n}
    return [
        *rows,
        *({"step": n, "dev_f1": 40 + n / 3} for n in (10, 20, 40)),
        {"step": 59, "loss": float("nan")},
    ]


def guideline(path: Path) -> Path:
    """A task whose labels are LABELS."""
    labels = [{"name": name, "definition": f"what {name} means"} for name in LABELS]
    told = {"corpus": "more", "protocol": "more", "question": "Which relation holds?", "none": "none", "labels": labels}
    path.write_text(json.dumps(told))
    return path


def pair_run(tmp_path: Path) -> Path:
    """24 pairs, with and without pictures, answered by sft and by grpo; GRPO's log, schedule and figures."""
    folder, data, pictures = tmp_path / "run", tmp_path / "data", tmp_path / "pictures"
    draw_pictures(pictures)
    samples = [sample(n, (None, "a.png", "a.png", "../secret.png", "broken.png", "a.png")[n % 6]) for n in range(24)]
    lines(data / "test.jsonl", [s.model_dump(mode="json") for s in samples])
    for stage, period in (("sft", 3), ("grpo", 5)):
        rows = [prediction(s, n % period > 0) for n, s in enumerate(samples)]
        predicted = [row.model_dump(mode="json") for row in rows]
        lines(folder / "predictions" / f"{stage}.test.jsonl", predicted)
        lines(folder / "predictions" / "blank_text.test.jsonl", predicted)
        lines(folder / stage / "log.jsonl", training_log(stage))
    lines(folder / "schedule.jsonl", windows())
    lines(folder / "rated.jsonl", [{"id": str(n), "n": 4, "n_correct": n % 5} for n in range(50)])
    settings = {
        "run": {"dir": "run"},
        "data": {
            "dir": str(data),
            "image_root": str(pictures),
            "guidelines": str(guideline(tmp_path / "guideline.yaml")),
        },
    }
    (folder / "config.yaml").write_text(dump_settings(Settings.model_validate(settings)))
    (folder / "run.json").write_text(json.dumps({"git": "abc123", "versions": {"trl": "1.16.0"}, "seed": 0}))
    figures = {
        # as json.dumps(sort_keys=True) would have it
        "grpo": metrics(67.8),
        "sft": metrics(62.7),
        "controls": {"shuffled_pictures": 41.0, "blank_text": 12.5},
        "seconds": {"teach": 31.0, "sft": 420.5, "rate": 66.0, "grpo": 4000.0, "predict": 80.0},
        "peak_memory_mb": 2345.6,
    }
    (folder / "metrics.json").write_text(json.dumps(figures))
    return folder


# ---- an extraction

EXTRACT = (
    "BERT 🤖 beats GPT on SQuAD",
    f"Names like {HOSTILE} are only names",
    "نموذج بيرت يتفوق على جي بي تي",
    "BERT " + "and so on and so forth with one word after another " * 195,
)


def extract_sample(number: int) -> Sample:
    """Entities over the first and last words, a third inside the first, and relations among them."""
    text = EXTRACT[number % len(EXTRACT)]
    last = text.rstrip().rindex(" ") + 1
    first = text.index(" ")
    entities = [
        {"id": "a", "start": 0, "end": first, "text": text[:first], "type": "Method"},
        {"id": "b", "start": last, "end": len(text.rstrip()), "text": text[last:].rstrip(), "type": "Dataset"},
        {"id": "c", "start": 0, "end": last - 1, "text": text[: last - 1], "type": "Task"},
    ]
    relations = [
        {"head": "a", "tail": "b", "label": "Evaluated-With"},
        {"head": "a", "tail": "c", "label": "Used-For"},
    ]
    fields = {"id": f"scier/test/{number}", "corpus": "scier", "split": "test", "text": text, "task": "extract"}
    return Sample.model_validate(fields | {"gold": {"entities": entities, "relations": relations}})


def extract_answer(of: Sample, number: int) -> str:
    """Right every fourth time; else a type is wrong, a relation missing and one made up."""
    gold = of.gold
    if number % 4 == 3:
        return render_completion("Step 1: nothing to be read.", "[")
    if number % 4:
        entities = [one.model_copy(update={"type": "Task"}) if one.id == "b" else one for one in gold.entities]
        turned = gold.relations[0].model_copy(update={"head": "c", "tail": "b", "label": "Part-Of"})
        gold = Extraction(entities=tuple(entities), relations=(gold.relations[1], turned))
    answer = write_extraction(of.model_copy(update={"gold": gold}))
    return render_completion(f"Step 1: the text says {HOSTILE}.\nStep 2: done.", answer)


def extract_run(folder: Path, *, n: int = 8, shift: int = 0) -> Path:
    """`n` extractions answered by grpo, the right ones shifted by `shift`, with SciER's guideline."""
    data = folder.parent / "extract-data"
    samples = [extract_sample(number) for number in range(n)]
    lines(data / "test.jsonl", [one.model_dump(mode="json") for one in samples])
    rows = [
        {"id": one.id, "completions": [extract_answer(one, number + shift), extract_answer(one, 0)]}
        for number, one in enumerate(samples)
    ]
    lines(folder / "predictions" / "grpo.test.jsonl", rows)
    lines(folder / "grpo" / "log.jsonl", [{"step": n, "loss": shift + 1 / n, "dev_f1": 40 + n} for n in range(1, 30)])
    settings = {
        "run": {"dir": str(folder), "seed": shift},
        "data": {"dir": str(data), "guidelines": "scier"},
        "grpo": {"rewards": {"r2grpo": 1.0}},
    }
    (folder / "config.yaml").write_text(dump_settings(Settings.model_validate(settings)))
    return folder
