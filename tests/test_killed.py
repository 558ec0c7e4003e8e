"""Runs killed at random moments and started again end as if nothing had been: log, schedule, weights, optimizer.

`python tests/test_killed.py CASES.json` imports torch and trl once and forks a child a run, so that a kill costs
seconds. MORERL_KILLS=30 makes that many kills at random times of each stage; `pytest -s` shows the summary.
"""

import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLS = int(os.environ.get("MORERL_KILLS", "2"))  # at any time; others are aimed at each phase
PHASES = ("start and rest", "rollout", "optimizer step", "saving", "sealing", "keeping the best model")
TIMES = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "step_time")

# --- the tests


@pytest.fixture
def cases(make_settings, tmp_path):
    from morerl.config import dump_settings
    from morerl.jsonl import write_records
    from morerl.schema import Rated
    from morerl.teacher.build import run_teach

    def make(kills):
        base = make_settings(teach={"share": 0.1})
        run_teach(base)
        rows = [Rated(id=f"more/train/{number:06d}", n=1, n_correct=number % 2) for number in range(1, 17)]
        write_records(base.run.dir / "rated.jsonl", rows)
        every = {"save_steps": 1, "logging_steps": 2, "max_steps": 7}
        # a window serves 4 optimizer steps, so most checkpoints are inside one; dev is scored between the logs
        grpo = {**base.grpo.trainer, **every, "steps_per_generation": 2, "num_iterations": 2}
        grpo |= {"gradient_accumulation_steps": 1, "log_completions": True}
        sft = {**base.sft.trainer, **every, "max_steps": 10}
        settings = make_settings(
            sft={"reasoning": str(base.run.dir / "reasoning.jsonl"), "trainer": sft, "dev": {"every_steps": 3}},
            grpo={
                **base.grpo.model_dump(exclude={"dev", "trainer"}),
                "model": base.model.path,
                "rated": str(base.run.dir / "rated.jsonl"),
                "trainer": grpo,
                "dev": {"every_steps": 3, "limit": 2},
            },
        )
        (tmp_path / "settings.yaml").write_text(dump_settings(settings))
        cases = {"settings": str(tmp_path / "settings.yaml"), "folder": str(tmp_path), "kills": kills, "seed": 0}
        (tmp_path / "cases.json").write_text(json.dumps(cases))
        return tmp_path / "cases.json"

    return make


@pytest.mark.slow
def test_runs_killed_at_any_moment_end_as_an_undisturbed_one(cases):
    done = subprocess.run(
        [sys.executable, __file__, cases(KILLS)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    sys.stdout.write(done.stdout)
    for summary in map(json.loads, done.stdout.splitlines()):
        assert summary["differences"] == []
        asked = {phase for phase in PHASES[1:] if (summary["stage"], phase) != ("sft", "rollout")}
        assert sum(summary["phases"].values()) == KILLS + len(asked) * max(1, KILLS // 6)
        assert all(summary["phases"][phase] for phase in asked)


# --- what runs in a process of its own


def by_length(case, parts):
    """Rewards with spread in every group, which an untrained model never earns from the real ones."""
    return {name: float(len(case.completion) % 7) for name in parts}


def note_phases(now):
    """Wraps what a kill may fall into, so that `now`, one byte shared with the children, says where they are."""
    import torch

    from morerl.training import callbacks, grpo, hooks, trainer

    def note(owner, name, phase):
        inner = getattr(owner, name)

        def noted(*args, **kwargs):
            before, now[0] = now[0], PHASES.index(phase)
            try:
                return inner(*args, **kwargs)
            finally:
                now[0] = before

        setattr(owner, name, noted)

    grpo.judge = by_length
    note(trainer.ScheduledGRPOTrainer, "_generate_and_score_completions", "rollout")
    note(torch.optim.AdamW, "step", "optimizer step")
    note(hooks.Resumable, "_save_checkpoint", "saving")
    note(hooks, "seal", "sealing")
    note(callbacks.DevScore, "_keep", "keeping the best model")


def start(stage, settings, folder, now):
    """A child that runs the stage in `folder`; its process id."""
    now[0] = 0
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        said = os.open(folder.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        run(stage, settings, folder)
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


def run(stage, settings, folder):
    from morerl.config import load_settings
    from morerl.training.grpo import run_grpo
    from morerl.training.sft import run_sft

    {"sft": run_sft, "grpo": run_grpo}[stage](load_settings(Path(settings), [f"run.dir={folder}"]))


def ended(child):
    """Has it come to its end? Raises where that was not a good one."""
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid and status:
        raise RuntimeError(f"a run ended with status {status}")
    return bool(pid)


def kill(child, moment, now):
    """Kills the child once `moment()` is true; the phase it was in, or None if it came to its end before."""
    while not moment():
        if ended(child):
            return None
        time.sleep(0.0005)
    phase = PHASES[now[0]]
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return phase if os.WIFSIGNALED(status) else None


def at(seconds):
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def inside(phase, now, skipped, seconds):
    """A moment so many seconds after a child came into a phase, `skipped` others of its kind before it."""
    seen = {"times": 0, "within": False, "since": 0.0}

    def moment():
        within = PHASES[now[0]] == phase
        if within and not seen["within"]:
            seen["times"] += 1
            seen["since"] = time.perf_counter()
        seen["within"] = within
        return within and seen["times"] > skipped and time.perf_counter() >= seen["since"] + seconds

    return moment


def result(stage, folder):
    """What must be equal: log without times, schedule, the last checkpoint's and the best model's files by hash."""
    from morerl.runs import read_json, sha256

    log = [json.loads(line) for line in (folder / stage / "log.jsonl").read_text().splitlines()]
    kept = {"log": [{key: value for key, value in entry.items() if key not in TIMES} for entry in log]}
    schedule = folder / "schedule.jsonl"
    kept["schedule"] = schedule.read_text() if schedule.exists() else None
    newest = max((folder / stage / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    kept["step"] = newest.name
    for path in (newest, folder / stage / "model"):
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
            if (path / name).exists():
                kept[f"{path.name}/{name}"] = sha256(path / name)
    kept["dev"] = read_json(folder / stage / "model" / "dev.json")
    return kept


def main(cases):
    import trl  # noqa: F401  (once, before any fork)

    now = mmap.mmap(-1, 1)
    note_phases(now)
    for stage in ("grpo", "sft"):
        sys.stdout.write(json.dumps(try_stage(stage, cases, now)) + "\n")


def try_stage(stage, cases, now):
    """Kills runs, each perhaps several times, until every kill of the plan is done; compares where they end."""
    folder, rng = Path(cases["folder"]) / stage, random.Random(cases["seed"])
    for name in ("first", "plain"):  # the first one also warms the machine
        began = time.perf_counter()
        assert to_the_end(stage, cases, folder / name, now, lambda: False) is None
    seconds = time.perf_counter() - began
    wanted = result(stage, folder / "plain")
    kills, phases, differences, runs = plan(stage, cases["kills"], rng), dict.fromkeys(PHASES, 0), [], 0
    while kills:
        runs += 1
        broken = folder / f"run-{runs}"
        while phase := to_the_end(stage, cases, broken, now, moment(kills[-1:], now, seconds, rng)):
            phases[phase] += 1
            kills.pop()
        got = result(stage, broken)
        differences += [f"run {runs}: {key}" for key in wanted if got[key] != wanted[key]]
    return {"stage": stage, "seconds": round(seconds, 1), "runs": runs, "phases": phases, "differences": differences}


def plan(stage, kills, rng):
    """So many kills at any time, and a few inside each of the phases that are short."""
    own = [phase for phase in PHASES[1:] if (stage, phase) != ("sft", "rollout")]
    kinds = [None] * kills + own * max(1, kills // 6)
    rng.shuffle(kinds)
    return kinds


def moment(kinds, now, seconds, rng):
    if not kinds or kinds[0] is None:
        return at(rng.uniform(0, seconds) if kinds else float("inf"))
    long = kinds[0] in ("rollout", "saving", "sealing")  # else of a millisecond or two, or once a run
    return inside(kinds[0], now, rng.randrange(4) * long, rng.uniform(0, 0.01) * long)


def to_the_end(stage, cases, folder, now, moment):
    """Starts the run in a folder; the phase it was killed in, or None where it came to its end."""
    folder.mkdir(parents=True, exist_ok=True)
    return kill(start(stage, cases["settings"], folder, now), moment, now)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
