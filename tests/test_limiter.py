"""The limiter: never more than its ceiling, down once a wave, up slowly, and nobody during a pause."""

import asyncio
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morerl.models import limiter
from morerl.models.limiter import Limiter, Shut, retry_after


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 10))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(limiter, "FIRST_PAUSE", 0.001)


async def wave_of(gate):
    async with gate as wave:
        return wave


async def succeed(gate, times):
    for _ in range(times):
        async with gate as wave:
            gate.succeeded(wave)


def test_no_more_than_the_limit_run_at_once_and_in_the_order_they_came():
    async def main():
        gate, order, running, most = Limiter(3), [], 0, 0

        async def one(number):
            nonlocal running, most
            async with gate:
                order.append(number)
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1

        await asyncio.gather(*[one(number) for number in range(20)])
        assert order == list(range(20)) and most == 3

    run(main())


def test_a_wave_halves_the_ceiling_once_and_never_under_one():
    async def main():
        gate, ceilings = Limiter(9), []
        for _ in range(5):
            wave = await wave_of(gate)
            for _ in range(3):
                gate.overloaded(wave, None)
            ceilings.append(gate.ceiling)
        assert ceilings == [4, 2, 1, 1, 1]

    run(main())


def test_as_many_successes_as_the_ceiling_raise_it_by_one_up_to_the_limit():
    async def main():
        gate = Limiter(4)
        gate.overloaded(await wave_of(gate), None)
        ceilings = []
        for _ in range(12):
            await succeed(gate, 1)
            ceilings.append(gate.ceiling)
        assert ceilings == [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]

    run(main())


def test_what_was_sent_before_the_decrease_says_nothing_about_the_new_ceiling():
    async def main():
        gate = Limiter(8)
        old = await wave_of(gate)
        gate.overloaded(old, None)
        for _ in range(20):
            gate.succeeded(old)
            gate.overloaded(old, None)
        assert gate.ceiling == 4

    run(main())


@pytest.mark.parametrize("late", [False, True], ids=["of this wave", "of the last wave"])
def test_nobody_runs_before_the_pause_that_was_asked_for_is_over(late):
    async def main():
        gate = Limiter(8)
        wave = await wave_of(gate)
        if late:
            gate.overloaded(wave, None)
        start = time.monotonic()
        gate.overloaded(wave, 0.2)
        gate.overloaded(wave, 0.01)
        await asyncio.gather(*[wave_of(gate) for _ in range(20)])
        assert 0.19 <= time.monotonic() - start < 2

    run(main())


def test_pauses_grow_while_nothing_succeeds_also_where_the_server_says_at_once(monkeypatch):
    monkeypatch.setattr(limiter, "FIRST_PAUSE", 0.1)

    async def paused(gate, wish):
        start = time.monotonic()
        gate.overloaded(await wave_of(gate), wish)
        await wave_of(gate)
        return time.monotonic() - start

    async def main():
        gate = Limiter(8)
        first, second, third = [await paused(gate, 0.001) for _ in range(3)]
        assert first < 0.1 and 0.15 <= second < third and 0.3 <= third < 2
        await succeed(gate, 1)
        assert await paused(gate, 0.001) < 0.1

    run(main())


def test_no_wish_is_longer_than_ten_minutes(monkeypatch):
    assert limiter.LONGEST_WISH == 600
    monkeypatch.setattr(limiter, "LONGEST_WISH", 0.05)

    async def main():
        gate = Limiter(2)
        gate.overloaded(await wave_of(gate), 1e9)
        await wave_of(gate)

    run(main())


@settings(max_examples=60)
@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_whoever_is_cancelled_leaves_the_place_to_the_others(limit, steps):
    """Steps: event-loop turns before each newcomer, and whether the one before it is cancelled then."""

    async def main():
        gate, running = Limiter(limit), 0

        async def one():
            nonlocal running
            async with gate:
                running += 1
                try:
                    assert running <= limit
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                finally:
                    running -= 1

        tasks = []
        for turns, cancel in steps:
            tasks.append(asyncio.create_task(one()))
            for _ in range(turns):
                await asyncio.sleep(0)
            if cancel:
                tasks[-1].cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
        await asyncio.gather(*[wave_of(gate) for _ in range(limit + 1)])
        assert running == 0

    run(main())


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0.25 ", 0.25),
        (format_datetime(NOW.replace(second=30), usegmt=True), 30.0),
        ("Thursday, 01-Jan-26 12:01:00 GMT", 60.0),
        (format_datetime(NOW.replace(hour=11), usegmt=True), None),
        *((word, None) for word in (None, "", "0", "-3", "nan", "inf", "1e999", "soon", "Thu, 99 Jan 2026", "9" * 200)),
    ],
)
def test_retry_after_is_seconds_or_a_date_to_come(header, seconds):
    assert retry_after(header, NOW.timestamp()) == seconds


@given(st.text(max_size=120))
def test_any_header_is_some_seconds_or_none(header):
    seconds = retry_after(header, NOW.timestamp())
    assert seconds is None or 0 < seconds < float("inf")


def test_once_shut_nobody_enters_and_those_inside_end_well():
    async def run():
        limiter, told = Limiter(1), []

        async def enter(name):
            try:
                async with limiter:
                    await asyncio.sleep(0.01)
                    told.append(name)
            except Shut:
                told.append(f"no {name}")

        tasks = [asyncio.create_task(enter(name)) for name in "abc"]
        await asyncio.sleep(0.001)
        limiter.shut()
        await asyncio.gather(*tasks)
        await enter("d")
        return told

    assert asyncio.run(run()) == ["no b", "no c", "a", "no d"]
