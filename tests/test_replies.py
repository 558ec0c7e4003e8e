"""What a server's reply says, whatever its shape: texts, why they are silent, what was used."""

import json

import pytest
from faulty_server import good
from hypothesis import given
from hypothesis import strategies as st

from morerl.models.replies import Answer, read_answer

WHOLE = "<think>a</think><answer>none</answer>"


def read(**fields):
    return read_answer(good(**fields)[2], "asked")


def choice(**message):
    return {"message": {"role": "assistant", **message}, "finish_reason": "stop"}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_that_the_server_took_off_is_put_back(name):
    apart = choice(content="<answer>none</answer>", **{name: "no link"})
    answer = read(choices=[apart, choice(content=WHOLE, **{name: "a"})])
    assert answer.texts == ["<think>no link</think>\n<answer>none</answer>", WHOLE] and answer.silence is None


def test_text_parts_are_joined_and_half_a_character_is_a_question_mark():
    parts = [{"type": "text", "text": "<think>"}, {"type": "refusal"}, {"type": "text", "text": "and"}]
    answer = read(choices=[choice(content=parts), choice(content="a\ud800b\x00")], model="m\udc00")
    assert answer.texts == ["<think>and", "a?b\x00"] and answer.model == "m?"


@pytest.mark.parametrize(
    ("usage", "kept"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 0, "extra": 5}, {"prompt_tokens": 3, "completion_tokens": 0}),
        ({"prompt_tokens": "3", "completion_tokens": 2.5, "total_tokens": True}, {}),
        ({"prompt_tokens": -1, "completion_tokens": 10**30, "total_tokens": None}, {}),
        ({"prompt_tokens": {"a": 1}, "completion_tokens": [2], "total_tokens": 4}, {"total_tokens": 4}),
        (None, {}),
        ([], {}),
        (7, {}),
    ],
)
def test_usage_is_whole_numbers_or_nothing(usage, kept):
    assert read(usage=usage).usage == kept


def test_without_usage_there_is_none():
    reply = json.loads(good()[2])
    del reply["usage"]
    assert read_answer(json.dumps(reply).encode(), "asked").usage == {}


@pytest.mark.parametrize(
    ("finish", "kept"), [("content_filter", "content_filter"), (None, ""), (3, ""), ("x" * 500, "x" * 200)]
)
def test_a_finish_reason_is_a_short_word_or_nothing(finish, kept):
    assert read(choices=[{"message": {"content": "a"}, "finish_reason": finish}]).finish_reasons == [kept]


@pytest.mark.parametrize("model", [None, "", 5, ["m"]])
def test_a_reply_without_a_model_is_of_the_one_asked_for(model):
    assert read(model=model).model == "asked"


def test_a_silent_choice_among_others_keeps_its_place_and_says_why():
    answer = read(choices=[choice(content="a"), 5, choice(content=None, refusal="I will not")])
    assert answer.texts == ["a", "", ""] and answer.finish_reasons == ["stop", "", "stop"]
    assert answer.silence == "a choice without content (finish_reason None)"
    assert read(choices=[choice(content=None, refusal="I will not")]).silence.endswith("'stop'): I will not")


def test_an_error_in_a_reply_of_200_is_told():
    assert read(choices=None, error={"message": "provider is down"}) == ("no_choices", "provider is down")
    assert read(choices=[], error="?") == ("no_choices", "a reply without choices")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "type", "content"]), inner),
    max_leaves=5,
)
MESSAGE = st.dictionaries(st.sampled_from(["content", "reasoning", "reasoning_content", "refusal"]), JSON)
CHOICE = st.fixed_dictionaries({}, optional={"message": MESSAGE | JSON, "finish_reason": JSON})
REPLY = st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICE | JSON) | JSON, "model": JSON, "usage": JSON})


@given(REPLY | JSON)
def test_any_json_is_an_answer_that_can_be_written_or_a_named_fault(reply):
    got = read_answer(json.dumps(reply).encode(), "asked")
    if isinstance(got, Answer):
        assert len(got.texts) == len(got.finish_reasons) == len(reply["choices"]) > 0
        assert ("" in got.texts) == bool(got.silence)
        "".join([*got.texts, *got.finish_reasons, got.model]).encode()
    else:
        assert got.reason == "no_choices"


@given(st.binary())
def test_any_bytes_are_read(data):
    assert read_answer(data, "asked").reason in ("bad_json", "no_choices")
