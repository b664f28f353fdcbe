"""Many processes as one: plain modules and averaged gradients over torch.distributed.

Networks are not wrapped in DistributedDataParallel: a critic is called several times per loss and
differentiated twice, and a penalty-only backward leaves its buckets out of step without an error.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .errors import UsageError


def world() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) for an ordinary run."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def local_world() -> int:
    """Processes of this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def micro_batch(batch: int, accumulate: int) -> int:
    """Examples of one micro-batch, where every process cuts its even share of a batch into `accumulate`. Raises UsageError if it cannot."""
    count = world()[1]
    if batch % (count * accumulate):
        good = [n for n in range(1, batch + 1) if not batch % (n * accumulate)][:8]
        into = f", {accumulate} micro-batches each" if accumulate > 1 else ""
        raise UsageError(f"the batch of {batch} does not divide over {count} processes{into}. It does over {', '.join(map(str, good))}.")
    return batch // count // accumulate


@contextmanager
def processes(device: str) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yields this process's device."""
    started = "RANK" in os.environ and "WORLD_SIZE" in os.environ and not (dist.is_available() and dist.is_initialized())
    where = torch.device(device)
    if where.type == "cuda":
        where = torch.device("cuda", where.index or int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(where)
    if started:
        # Functions in here take the group that is there when they are imported, which an optimiser's first step may do, as a default.
        # Such a group, and its threads, would outlive the end below, and now and then abort the process at its exit.
        importlib.import_module("torch.distributed.nn.functional")
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield where
    finally:
        if started:
            dist.destroy_process_group()


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace every gradient by its mean over processes (one flat all-reduce).

    A parameter that a step did not use has no gradient, in any process: it stays so, or optimisers would count a step for it.
    """
    parameters = [p for p in parameters if p.grad is not None]
    if world()[1] == 1 or not parameters:
        return
    flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    dist.all_reduce(flat)
    flat /= world()[1]
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = torch.empty_like(p).copy_(part.view(p.shape))  # strided as p is: fused optimisers walk over raw memory


def share(module: nn.Module) -> None:
    """Give every process the parameters and buffers of process 0."""
    if world()[1] > 1:
        for tensor in module.state_dict().values():
            if not tensor.is_contiguous():  # a channels_last weight would be sent with its elements permuted
                copy = tensor.contiguous()
                dist.broadcast(copy, 0)
                tensor.copy_(copy)
            else:
                dist.broadcast(tensor, 0)


def mean(values: Tensor) -> Tensor:
    """Mean of a tensor over processes."""
    if world()[1] > 1:
        values = values.clone()
        dist.all_reduce(values)
        values /= world()[1]
    return values


def any_process(flag: bool) -> bool:
    """True in every process if it is true in one: how all of them agree to stop at the same step."""
    if world()[1] == 1:
        return flag
    votes = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(votes)
    return bool(votes.item() > 0)


def same_everywhere(value: float) -> float:
    """The value of process 0, in every process (measured speeds differ; plans must not)."""
    if world()[1] == 1:
        return value
    box = torch.tensor(value, dtype=torch.float64, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.broadcast(box, 0)
    return float(box.item())


def least(value: float) -> float:
    """The smallest of all processes' values, in every process."""
    if world()[1] == 1:
        return value
    box = torch.tensor(value, dtype=torch.float64, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(box, dist.ReduceOp.MIN)
    return float(box.item())


def barrier() -> None:
    """Wait until every process is here."""
    if world()[1] > 1:
        dist.barrier()
