"""The mixing benchmark's reading of a run's log."""

import json

from benchmarks.mixing import at, curve, reaches


def test_the_curve_counts_refills(tmp_path):
    entries = [
        {"dev_f1": 50.0, "step": 0},
        {"rollouts": 300.0, "step": 1},
        {"dev_f1": 60.0, "step": 2},  # a step's score is written before its other figures
        {"rollouts": 700.0, "step": 2},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    points = curve(log)
    assert points == [(0, 50.0), (700, 60.0)]
    assert (at(points, 699), reaches(points, 55.0), reaches(points, 61.0)) == (50.0, 700, None)


def test_without_a_count_a_step_is_a_window(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"dev_f1": 1.0, "step": 4}\n{"loss": 0.1, "step": 4}\n', encoding="utf-8")
    assert curve(log) == [(4 * 256, 1.0)]
