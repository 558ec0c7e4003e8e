"""vLLM's own server, where there is one: it answers as the model does here, in every form that is asked of it.

MORERL_VLLM=.../bin/vllm python -m pytest tests/test_vllm.py: its torch is another, so that it has an environment of its
own; a build for the CPU will do.
"""

import asyncio

import pytest
from conftest import NARROW
from pictured import SQUARE, SQUARE_TOKENS, draw_samples
from serving import VLLM, make_loud, served

from morerl import Extractor
from morerl.guidelines import load_spec
from morerl.models.chats import with_parts
from morerl.models.endpoint import complete, image_block, pictures
from morerl.models.generate import generate
from morerl.models.load import load_model, load_processing
from morerl.models.tiny import build_tiny
from morerl.models.transport import Failure, Transport
from morerl.prompts.render import render
from morerl.settings import GenerateSettings, ModelSettings, PromptSettings, TinySettings
from morerl.tasks import alone
from morerl.teacher.structure import response_format

pytestmark = [pytest.mark.slow, pytest.mark.skipif(VLLM is None, reason="MORERL_VLLM names no vllm")]

SPEC = load_spec("more")
PROMPT = PromptSettings(template="stepwise_brief")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """On the CPU its attention heads are of 32 numbers at the least, the tests' narrow model's of 16."""
    quiet, shape = tmp_path_factory.mktemp("quiet"), NARROW | {"hidden_size": 64, "intermediate_size": 128}
    build_tiny(quiet, ["Hale helps Osei", *SPEC.answers], TinySettings(**shape), seed=0)
    return make_loud(quiet, tmp_path_factory.mktemp("loud"))


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    with served(model, tmp_path_factory.mktemp("serve") / "log.txt", by="vllm") as address:
        yield address


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Samples with and without pictures, and how they are asked here and there."""
    root = tmp_path_factory.mktemp("pictures")
    how = {"prompt": PROMPT, "images": SQUARE, "settings": GenerateSettings(max_new_tokens=24, batch_size=1)}
    return draw_samples(root), alone(SPEC, root), how


def test_it_writes_what_the_model_writes_here(url, model, asked):
    samples, tasks, how = asked
    here = generate(load_model(model, ModelSettings()), load_processing(model), samples, tasks, **how)
    followed = {}
    there = complete(samples, tasks, base_url=url, model=str(model), **how)
    again = complete(samples, tasks, base_url=url, model=str(model), **how, on_text=followed.__setitem__)
    assert [followed[place] for place in range(len(samples))] == [text for (text,) in again]
    assert list(map(whole, here)) == list(map(whole, there)) == list(map(whole, again))
    assert len({text for (text,) in here}) == len(samples)


def whole(texts):
    """Without the first bytes of a character whose rest never comes, which the server holds back."""
    return [text.rstrip("\ufffd") for text in texts]


def test_several_draws_are_of_one_request(url, model, asked):
    samples, tasks, how = asked
    drawn = how | {"settings": GenerateSettings(max_new_tokens=24, n=4, temperature=1.0)}
    first, second = (complete(samples, tasks, base_url=url, model=str(model), **drawn, seed=7) for _ in range(2))
    assert all(len(set(texts)) == 4 for texts in first) and first == second  # a seed binds


def asking(url, *bodies):
    async def ask():
        async with Transport(url, concurrency=2) as transport:
            return [await transport.ask(body) for body in bodies]

    return asyncio.run(ask())


def test_pictures_take_the_tokens_they_take_here(url, model, asked):
    samples, tasks, _ = asked
    how = {"model": str(model), "temperature": 0.0, "max_tokens": 8}
    messages = render(samples[0], SPEC, PROMPT, SQUARE)
    shown = [image_block(image) for image in pictures(samples[0], SQUARE, tasks.image_root(samples[0]))]
    bare = [{"type": "text", "text": ""}] * 2
    text, pictured = asking(url, *({**how, "messages": with_parts(messages, parts)} for parts in (bare, shown)))
    assert pictured.usage["prompt_tokens"] - text.usage["prompt_tokens"] == 2 * (SQUARE_TOKENS + 2)


def test_the_answer_part_is_held_to_its_form(url, model, asked):
    """Of random weights no answer comes; that the form is taken, and leads nowhere else, is all that can be seen."""
    sample = asked[0][-1]
    body = {"model": str(model), "messages": render(sample, SPEC, PROMPT, SQUARE), "max_tokens": 200}
    held = [{**body, "temperature": 1.0, "seed": n, "response_format": response_format(sample, SPEC)} for n in range(8)]
    answers = [one.texts[0] for one in asking(url, *held)]
    legal = tuple(f"<answer>{name}</answer>" for name in SPEC.answers)
    assert all(text.endswith(legal) or "<answer>" not in text for text in answers)
    with pytest.raises(Failure):  # it is read, then
        asking(url, {**body, "response_format": {"type": "structural_tag", "format": {"type": "no such"}}})


def test_an_extractor_finds_there_what_it_finds_here(url, model, asked):
    samples, tasks, _ = asked
    root = tasks.image_root(samples[0])
    given = {"image": samples[0].image, "regions": [samples[0].regions[0].box], "mentions": ["Hale", "Osei"]}
    how = {"schema": "more", "image_root": root, "max_new_tokens": 24}
    local, remote = Extractor.from_pretrained(model, **how), Extractor.from_endpoint(url, str(model), **how)
    here, there = (one.extract(samples[0].text, **given) for one in (local, remote))
    assert here.error is there.error is None and len(here.answers) == 2
    assert [(one.head, one.tail, one.problems) for one in here.answers] == [
        (one.head, one.tail, one.problems) for one in there.answers
    ]
    assert whole(one.completion for one in here.answers) == whole(one.completion for one in there.answers)
