"""Addresses and keys of endpoints: what cannot be used is refused before anything is sent, and never repeated."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_endpoint import ask

from morerl.errors import ConfigError
from morerl.models import address
from morerl.models.transport import Transport


def test_a_key_is_needed_elsewhere_and_must_look_like_one(monkeypatch, text_pair):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY is not set; api\.example\.org"):
        ask("https://api.example.org/v1", [text_pair()])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a\nb")
    with pytest.raises(ConfigError, match="copy it again") as caught:
        ask("http://localhost:1/v1", [text_pair()])
    assert "sk-a" not in str(caught.value)


BAD = ["", "ftp://x/v1", "localhost:8000", "http://u:hunter2@x/v1", "http://x/v1?key=hunter2", "http://x:99999/v1"]


@pytest.mark.parametrize("url", [*BAD, "http://a..b/v1", "http://x /v1", "http://x/v1\n", "http://[::::]/v1"])
def test_an_address_that_cannot_be_used_is_not_repeated(url, text_pair):
    with pytest.raises(ConfigError, match="must be like http") as caught:
        ask(url, [text_pair()])
    assert "hunter2" not in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.text(max_size=30), st.from_regex(address._URL, fullmatch=True)))
def test_any_address_is_a_client_or_a_config_error(url):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "k")
        with contextlib.suppress(ConfigError):
            asyncio.run(Transport(url, concurrency=1).__aexit__())
