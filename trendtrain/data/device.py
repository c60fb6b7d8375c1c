"""Where windows are gathered: on the device that trains, if they fit, else on the CPU, a batch ahead."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from trendtrain.data.arena import Arena, Batch
from trendtrain.data.windows import WindowDataset
from trendtrain.replay.sampler import Draw

Resident = Literal["auto"] | bool

_SHARE = 0.5  # of the memory that is free: the rest is for the net, its gradients and its batches


def move_arena(arena: Arena, device: torch.device, resident: Resident) -> None:
    """Move the inputs of all rows to the device that trains, so that rows alone travel in each batch.

    Args:
        arena: What is moved, once.
        device: Where the net is.
        resident: True moves them, False leaves them, auto moves them to a GPU if they fit in half of its free memory.
    """
    if resident == "auto":
        resident = device.type == "cuda" and arena.n_bytes <= _SHARE * torch.cuda.mem_get_info(device)[0]
    arena.to(device if resident else torch.device("cpu"))


def loader(dataset: WindowDataset, sampler: Iterable[Draw], device: torch.device) -> "DataLoader[Batch] | GatherAhead":
    """Return what feeds a device: a plain loader, or one that gathers ahead where windows must travel to a GPU.

    Args:
        dataset: Gives the batch of a draw.
        sampler: Gives the draws.
        device: Where the net is.
    """
    if device.type == "cuda" and dataset.arena.device.type == "cpu":
        return GatherAhead(dataset, sampler)
    # a generator of its own, so that none draws from the global one
    return DataLoader(dataset, sampler=sampler, batch_size=None, generator=torch.Generator().manual_seed(0))


class GatherAhead:
    """Gather the next batch in a thread while the last one is used, and pin it: it travels while the GPU works.

    Draws are made in the caller's thread, a batch before they are used. The batches are the same, since new verdicts
    change only the draws of the next step. It has no `sampler` to see: Lightning would take it for a `DataLoader`.

    Args:
        dataset: Gives the batch of a draw.
        sampler: Gives the draws.
    """

    def __init__(self, dataset: WindowDataset, sampler: Any) -> None:
        self.dataset = dataset
        self._sampler = sampler

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as thread:
            ahead = None
            for draw in self._sampler:
                last, ahead = ahead, thread.submit(self._gather, draw)
                if last is not None:
                    yield last.result()
            if ahead is not None:
                yield ahead.result()

    def _gather(self, draw: Draw) -> Batch:
        batch = self.dataset[draw]
        return {name: values.pin_memory() for name, values in batch.items()} if torch.cuda.is_available() else batch
