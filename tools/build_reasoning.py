"""Builds reasoning data for SFT: a share of each label's train samples, explained by a teacher and judged.

    python tools/build_reasoning.py configs/scier/mimic.yaml             # no teacher at all: a plan from the gold
    python tools/build_reasoning.py configs/more/teach.yaml --dry-run    # what would be asked, and what it may cost
    python tools/build_reasoning.py configs/more/teach.yaml --limit 20   # a first look
    python tools/build_reasoning.py configs/more/teach.yaml --audit 20   # a page to read: <run.dir>/teach/audit.html
    python tools/build_reasoning.py configs/more/teach.yaml --max-usd 50

teach.endpoint is any OpenAI-compatible server (vLLM, SGLang, a vendor); the key is the environment's OPENAI_API_KEY.
Writes <run.dir>/reasoning.jsonl, rejected.jsonl with the reason for each reject, and teach/teach.json with the totals.
Every reply is kept as it comes: stop it with Ctrl-C, kill it, raise a cap; the same command goes on from there and pays
for nothing twice.

Exit codes: 0 well; 2 a problem the message explains; 3 not whole (a cap was reached, or samples have no reply: run it
again); 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from morerl.bars import sample_bar, teach_bar
from morerl.terminal import fail, one_message, say

if TYPE_CHECKING:
    from morerl.settings import Settings
    from morerl.teacher.estimate import Estimate
    from morerl.teacher.plan import Options


def main() -> int:
    """Returns the exit code."""
    # lastResort looks up sys.stderr as it writes, which a progress bar has replaced: a line goes above the bar
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", handlers=[logging.lastResort])
    asked = _asked()
    with one_message():
        # imported here, so that --help and a mistyped flag are answered at once
        from morerl.config import load_settings
        from morerl.teacher.build import run_teach
        from morerl.teacher.merge import merge
        from morerl.teacher.plan import Options, out_of

        settings = load_settings(asked.config, asked.overrides)
        options = Options(
            limit=asked.limit,
            resume=asked.resume,
            max_usd=asked.max_usd,
            max_tokens=asked.max_tokens,
            concurrency=asked.concurrency,
            shard=asked.shard,
        )
        if asked.dry_run:
            return _dry_run(settings, options)
        if asked.audit:
            return _audit(settings, options, asked.audit)
        if asked.merge:
            return _told(merge(settings, accept=options.resume == "always"), out_of(settings, None), options)
        with teach_bar() as listener:
            totals = run_teach(settings, options=options, listener=listener)
        return _told(totals, out_of(settings, options.shard), options)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for any other mistake; argparse's own shows the whole usage above it."""
        fail(f"{message} (--help explains every flag)", 2)


def _asked() -> argparse.Namespace:
    parser = _parser()
    asked = parser.parse_intermixed_args()  # flags and overrides in any order
    if asked.merge and (asked.shard or asked.limit):
        parser.error("--merge joins the parts as they are: leave --shard and --limit out")
    return asked


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="the run's YAML")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings to override")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="render, count and price every prompt; send nothing")
    parser.add_argument("--limit", type=_above_zero, metavar="N", help="only N of the chosen samples, drawn at random")
    parser.add_argument(
        "--resume",
        choices=("never", "if-possible", "always"),
        default="if-possible",
        help="what to do with an old folder. if-possible: go on, unless settings or prompts changed, then say what. "
        "always: go on all the same, asking anew only where a request differs. never: move it aside and ask everything "
        "anew (default: if-possible)",
    )
    parser.add_argument(
        "--max-usd", type=_dollars, metavar="USD", help="never spend more in this folder, failed attempts included"
    )
    parser.add_argument(
        "--max-tokens", type=_above_zero, metavar="N", help="likewise in tokens, prompts and replies together"
    )
    parser.add_argument(
        "--concurrency",
        type=_above_zero,
        default=16,
        metavar="N",
        help="requests at once, at most: fewer while the server says 429 or 503 (default: 16)",
    )
    parser.add_argument(
        "--shard", type=_shard, metavar="I/N", help="only the I-th of N parts, for several machines at once"
    )
    instead.add_argument("--merge", action="store_true", help="join the parts: their folders teach-I-of-N in run.dir")
    instead.add_argument(
        "--audit", type=_above_zero, metavar="N", help="write N random kept and N rejected chains as a page to read"
    )
    return parser


def _above_zero(text: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def _dollars(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of dollars such as 50 or 2.5")
    return value


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: write I/N with I from 1 to N, e.g. 2/4")
    return int(match[1]), int(match[2])


def _dry_run(settings: Settings, options: Options) -> int:
    from morerl.teacher.estimate import estimate
    from morerl.teacher.plan import plan

    work = plan(settings, options)
    if settings.teach.strategy == "mimic":
        from morerl.teacher.strategies import mimic

        say(mimic.planner(work.chosen, work.spec)(work.now[0]))
        say(f"\n{len(work.now)} such plans would be written, with no teacher and at no cost")
        return 0
    with sample_bar("render") as listener:
        found = estimate(work, settings, listener=listener)
    _show_estimate(found, settings)
    return 0


def _audit(settings: Settings, options: Options, n: int) -> int:
    from morerl.jsonl import stream_samples
    from morerl.report.audit import write_audit
    from morerl.teacher.plan import plan

    work = plan(settings, options)
    out = work.folder / "audit.html"
    train = stream_samples(work.inputs[0])
    kept, rejected = work.out, work.out.with_name("rejected.jsonl")
    root = settings.data.image_root
    write_audit(kept, rejected, train, work.spec, out, n=n, seed=settings.run.seed, image_root=root)
    say(f"look at {out}")
    return 0


def _told(totals: dict[str, Any], out: Path, options: Options) -> int:
    _show_taught(totals, out)
    as_asked = totals["complete"] or (options.limit is not None and totals["asked"] >= options.limit)
    return 0 if as_asked and not totals["stopped"] and not totals.get("unanswered") else 3


def _show_taught(totals: dict[str, Any], out: Path) -> None:
    """What a teacher's run left."""
    rejected = ", ".join(f"{reason} {count}" for reason, count in totals["rejected"].items())
    say(f"{totals['kept']} of {totals['chosen']} chosen samples have a chain in {out} ({totals['asked']} were asked)")
    say(f"rejected chains: {rejected or 'none'}")
    if "tokens" in totals:
        cost = "cost unknown" if totals["usd"] is None else f"${totals['usd']:.2f}"
        used = totals["tokens"]
        say(f"{totals['attempts']} requests, {used['prompt']:,} + {used['completion']:,} tokens, {cost}")
    if totals.get("unanswered"):
        say(f"{totals['unanswered']} samples have no reply yet; the same command asks for them again")
    if totals["stopped"] == "budget":
        say("stopped at the cap; raise it, and the same command goes on")
    if totals["complete"]:
        say(f"next: --audit 20 shows some of them; morerl sft CONFIG sft.reasoning={out} learns from them")


def _show_estimate(found: Estimate, settings: Settings) -> None:
    """What a run would ask and cost, and its first prompt."""
    teach = settings.teach
    for block in (block for message in found.example for block in message["content"]):
        say(block.get("text", "[picture]"))
    say("")
    labels = ", ".join(f"{name} {count}" for name, count in list(found.by_label.items())[:8])
    more = f" and {len(found.by_label) - 8} more" if len(found.by_label) > 8 else ""
    say(f"{teach.strategy} at {teach.endpoint}, model {teach.model or 'scenes'}; nothing was sent")
    say(f"{found.samples} samples ({labels}{more}); {found.at_hand} need no further request")
    if found.unusable:
        say(f"{found.unusable} samples have a picture that cannot be shown, and are left out")
    say(f"to ask: {found.requests:,} requests at the least, {found.most_requests:,} if every draw is taken")
    say(f"at the least {found.prompt_tokens:,} prompt tokens (estimate), {found.pictures:,} pictures among them")
    say(f"the longest prompt: {found.longest_prompt:,} tokens; a reply: at most {found.max_new_tokens:,}")
    if found.usd_most is None:
        say("cost unknown: teach.prices says what a hosted model costs, in dollars per million tokens")
        return
    say(f"cost: ${found.usd_least:,.2f} for the prompts, ${found.usd_most:,.2f} if every draw is as long as allowed")
    if found.usd_likely is not None:
        say(f"cost as the replies at hand were ({found.reply_tokens:,.0f} tokens): ${found.usd_likely:,.2f}")
    else:
        say("run it with --limit 20 for an estimate from real replies")


if __name__ == "__main__":
    sys.exit(main())
