"""A teacher and a predictor that are not the tests' own: `transformers serve` on this machine, with a narrow model."""

import asyncio
import json
import re
from collections import Counter

import pytest
from pictured import SQUARE, SQUARE_TOKENS, draw_samples
from serving import make_loud, served

from morerl.guidelines import load_spec
from morerl.jsonl import read_records
from morerl.models.chats import with_parts
from morerl.models.endpoint import complete, image_block, pictures
from morerl.models.generate import generate
from morerl.models.load import load_model, load_processing
from morerl.models.transport import Transport
from morerl.prompts.render import render
from morerl.schema import Reasoning
from morerl.settings import GenerateSettings, ModelSettings, PromptSettings
from morerl.tasks import alone
from morerl.teacher.build import run_teach

pytestmark = pytest.mark.slow

SPEC = load_spec("more")
PROMPT = PromptSettings(template="stepwise_brief")
POSTED = 'POST /v1/chat/completions HTTP/1.1" 200'
NONSENSE = {"truncated", "no_think_tag", "no_answer_tag"}


@pytest.fixture(scope="module")
def loud_model(narrow_model, tmp_path_factory):
    """The server samples only where a model's own settings say so, whatever the temperature; those of Qwen2.5-VL do."""
    out = make_loud(narrow_model, tmp_path_factory.mktemp("loud"))
    how = json.loads((out / "generation_config.json").read_text())
    (out / "generation_config.json").write_text(json.dumps(how | {"do_sample": True}))
    return out


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("serve") / "log.txt"


@pytest.fixture(scope="module")
def url(loud_model, log):
    with served(loud_model, log) as address:
        yield address


def rejected(settings):
    return list(read_records(settings.run.dir / "rejected.jsonl", Reasoning))


def teach(url, model, **asked):
    return {"endpoint": url, "model": str(model), "share": 0.05, "max_new_tokens": 24, **asked}


def check_row(row, model, strategy):
    assert row.model == f"{model}@main"  # as this server returns it: with the revision
    assert row.strategy == f"{strategy}/1" and row.attempts == 1 and row.reason in NONSENSE
    assert (row.finish_reason == "length") == (row.reason == "truncated") and row.finish_reason in ("length", "stop")
    usage = row.usage
    assert usage["prompt_tokens"] > 1000 and 0 < usage["completion_tokens"] <= 24
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert len(row.pictures) == 2 and len(row.prompt_hash) == 64


# --- the teacher


def test_stepwise_nonsense_is_rejected_by_name_and_asked_for_once(url, log, loud_model, make_settings):
    settings = make_settings(teach=teach(url, loud_model, strategy="stepwise", retries=1, retry_temperature=0.9))
    totals = run_teach(settings)
    rows = rejected(settings)
    assert totals["kept"] == totals["unanswered"] == 0 and totals["given_up"] == totals["asked"] >= 8
    assert len(rows) == totals["replies"] == totals["attempts"] == 2 * totals["asked"]
    assert totals["rejected"] == dict(Counter(row.reason for row in rows).most_common())
    assert totals["tokens"]["prompt"] == sum(row.usage["prompt_tokens"] for row in rows)
    for row in rows:
        check_row(row, loud_model, "stepwise")
    assert {(row.draw, row.temperature) for row in rows} == {(0, 0.0), (1, 0.9)}
    assert len({row.completion for row in rows}) > 1
    asked = log.read_text().count(POSTED)
    assert asked >= totals["attempts"]
    (settings.run.dir / "rejected.jsonl").unlink()  # or the second run would have nothing to do at all
    assert run_teach(settings)["attempts"] == totals["attempts"]
    assert rejected(settings) == rows and log.read_text().count(POSTED) == asked


def test_distill_takes_every_draw_and_rates_the_sample_zero(url, loud_model, make_settings):
    settings = make_settings(teach=teach(url, loud_model, strategy="distill", draws=3))
    totals = run_teach(settings)
    rows = rejected(settings)
    assert totals["kept"] == 0 and totals["complete"] and totals["replies"] == len(rows) == 3 * totals["asked"]
    for row in rows:
        check_row(row, loud_model, "distill")
    by_sample = Counter(row.id for row in rows)
    assert set(by_sample.values()) == {3} and {row.pass_rate for row in rows} == {0.0}
    assert {(row.draw, row.seed) for row in rows} == {(0, 0), (1, 1), (2, 2)}
    assert len({row.completion for row in rows}) > len(by_sample)  # draws differ


# --- what goes there


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A folder of pictures and samples that ask about them; the last has none."""
    root = tmp_path_factory.mktemp("pictures")
    return root, draw_samples(root)


def test_pictures_are_read_and_counted_there(url, loud_model, pictured):
    root, samples = pictured
    messages = render(samples[0], SPEC, PROMPT, SQUARE)
    bare = with_parts(messages, [{"type": "text", "text": ""}] * 2)
    shown = [with_parts(messages, [image_block(image) for image in pictures(one, SQUARE, root)]) for one in samples[:3]]

    async def ask():
        async with Transport(url, concurrency=2) as transport:
            how = {"model": str(loud_model), "temperature": 0.0, "max_tokens": 24}
            return [await transport.ask({**how, "messages": chat}) for chat in (bare, *shown)]

    text, *answers = asyncio.run(ask())
    more = {answer.usage["prompt_tokens"] - text.usage["prompt_tokens"] for answer in answers}
    assert more == {2 * (SQUARE_TOKENS + 2)}  # of each picture, with its begin and end
    assert len({answer.texts[0] for answer in answers}) == 3  # the same words about other pictures


def test_the_endpoint_writes_what_the_model_writes_here(url, loud_model, pictured):
    root, samples = pictured
    how = GenerateSettings(max_new_tokens=24, batch_size=1)
    shown = {"prompt": PROMPT, "images": SQUARE, "settings": how}
    tasks = alone(SPEC, root)
    there = complete(samples, tasks, base_url=url, model=str(loud_model), **shown)
    processing, model = load_processing(loud_model), load_model(loud_model, ModelSettings())
    here = generate(model, processing, samples, tasks, **shown)
    # this server keeps special tokens of another kind than the end, and takes off blanks at either end
    special = re.compile("|".join(map(re.escape, processing.tokenizer.all_special_tokens)))
    assert [special.sub("", one).strip() for (one,) in there] == [one.strip() for (one,) in here]
    assert len({one for (one,) in there}) == len(samples)
    followed = {}
    again = complete(samples, tasks, base_url=url, model=str(loud_model), **shown, on_text=followed.__setitem__)
    assert [followed[place].strip() for place in range(len(samples))] == [one.strip() for (one,) in again]
    # a stream holds the first bytes of a character back, and here the rest of it never comes
    ends = " \ufffd"
    assert [special.sub("", one).strip(ends) for (one,) in again] == [one.strip(ends) for (one,) in here]
