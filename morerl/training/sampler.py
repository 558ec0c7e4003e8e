"""Feeds TRL the windows of a schedule, in the order given.

TRL's own sampler permutes the data and replays the first epoch's order after a resume; this one has
a fixed order, so skipping what was already trained is all a resume needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler


class WindowSampler(Sampler[int]):
    """Each window `repeats` times; inside it each row `group` times in a row.

    Every rank draws the same stream; accelerate deals it out, so a group stays whole. With G = 2,
    windows [[4, 7]] and repeats = 2 the stream is 4 4 7 7 4 4 7 7 (TRL reads a window once for each
    micro-step it serves, and generates only on the first reading).
    """

    def __init__(self, windows: Sequence[Sequence[int]], *, group: int, repeats: int) -> None:
        self._windows = windows
        self._group = group
        self._repeats = repeats

    def __iter__(self) -> Iterator[int]:
        for window in self._windows:
            for _ in range(self._repeats):
                for row in window:
                    yield from [row] * self._group

    def __len__(self) -> int:
        return sum(len(window) for window in self._windows) * self._group * self._repeats
