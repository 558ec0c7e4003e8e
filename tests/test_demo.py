"""The embedded end-to-end run, in small: real stages, few steps."""

import json
import shutil

import pytest

from morerl.demo import blank_text, run_demo, shuffle_pictures
from morerl.jsonl import read_samples


@pytest.fixture
def small(make_settings, tmp_path):
    def make(name):
        folder = tmp_path / name
        base = make_settings()
        return make_settings(
            run={"dir": str(folder)},
            data={"dir": str(folder / "data"), "image_root": str(folder / "raw"), "max_prompt_tokens": 160},
            model={"path": None, "tiny": {"hidden_size": 32, "layers": 2, "heads": 2, "vision_hidden_size": 32}},
            demo={"train": 30, "dev": 3, "test": 3},
            rate={"limit": 16},
            sft={"trainer": {**base.sft.trainer, "max_steps": 2}},
            grpo={"trainer": {**base.grpo.trainer, "max_steps": 2}},
        )

    return make


def timeless(metrics):
    return {key: value for key, value in metrics.items() if key not in ("seconds", "peak_memory_mb", "report")}


def test_the_demo_leaves_metrics_and_a_report_and_the_same_ones_for_the_same_seed(small):
    first = run_demo(small("first"))
    folder = small("first").run.dir
    written = json.loads((folder / "metrics.json").read_text())
    assert written["sft"]["primary"]["name"] == written["grpo"]["primary"]["name"] == "micro_f1"
    assert set(written["seconds"]) == {"draw", "teach", "sft", "rate", "grpo", "test"}
    assert set(written["controls"]) == {"shuffled_pictures", "blank_text"} and written["peak_memory_mb"] > 100
    assert "<html" in (folder / "report.html").read_text()

    log = (folder / "sft" / "log.jsonl").read_bytes()
    again = run_demo(small("first"))  # everything is done: nothing is trained anew
    assert again == {**first, "peak_memory_mb": again["peak_memory_mb"]}
    assert (folder / "sft" / "log.jsonl").read_bytes() == log

    other = run_demo(small("second"))
    assert timeless(other) == timeless(first)


def test_a_demo_that_lost_a_later_stage_goes_on_from_there(small):
    first = run_demo(small("lost"))
    folder = small("lost").run.dir
    sft = (folder / "sft" / "done.json").stat().st_mtime_ns
    for name in ("grpo", "test", "predictions"):
        shutil.rmtree(folder / name)
    assert timeless(run_demo(small("lost"))) == timeless(first)
    assert (folder / "sft" / "done.json").stat().st_mtime_ns == sft


def test_the_controls_change_one_side_only(world):
    samples = read_samples(world / "data" / "test.jsonl")
    shuffled = shuffle_pictures(samples, seed=0)
    assert [s.text for s in shuffled] == [s.text for s in samples]
    assert sorted(s.image for s in shuffled) == sorted(s.image for s in samples)
    assert [s.image for s in shuffled] != [s.image for s in samples]
    blanked = blank_text(samples)
    assert [s.text for s in blanked] == [s.mentions[0].text for s in samples]
    assert [(s.image, s.regions, s.gold) for s in blanked] == [(s.image, s.regions, s.gold) for s in samples]
