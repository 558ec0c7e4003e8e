"""The orders in which TRL is fed: a schedule's windows, or batches of like length.

The stock samplers draw from a generator that a resume does not find as it was (TRL's replays the
first epoch); these depend on the schedule, or on seed and epoch, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import LengthGroupedSampler


class LengthSampler(LengthGroupedSampler):
    """transformers' order for batches of rows of like length (tokens), a function of seed and epoch.

    Fifty batches at a time are drawn at random, then sorted from long to short.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        super().__init__(batch_size, lengths=list(lengths), generator=torch.Generator())
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """To be called before each epoch, the first one after a resume too."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator.manual_seed(self._seed + self._epoch)
        return super().__iter__()


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
