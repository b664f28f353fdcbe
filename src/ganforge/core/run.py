"""How long, how big, how often: what every recipe lets the user choose about the run itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import UsageError, nearest


def _choice(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"--{option} must be one of {', '.join(known)}; got '{value}'.{nearest(value, known)}")


@dataclass(frozen=True, kw_only=True)
class Run:
    """The budget and the machine."""

    minutes: float = 60.0
    """Planned length of the training. Fixed at the start as a number of examples, from the measured speed."""
    examples: int | None = None
    """Real examples to train on, over all processes. Left out: as many as fit into `minutes`."""
    batch: int = 64
    """Examples per optimiser step, over all processes. 0: as many as make the machine about as fast as it gets; recipes are tuned at 64."""
    accumulate: int = 1
    """Split each process's batch into this many micro-batches, to save memory."""
    ema: float = 0.05
    """Half-life of the averaged (EMA) networks, as a fraction of the examples seen. 0: no averaging."""
    seed: int = 0
    """Everything random follows from this."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto: the fastest there is."""
    precision: str = "auto"
    """fp32, bf16, or auto: whichever proves faster on this machine at the start."""
    layout: str = "auto"
    """contiguous, channels_last, or auto: whichever proves faster on this machine at the start."""
    compile: bool = False
    """Compile the networks with torch.compile; used only if it proves equal to the plain networks at the start."""
    threads: int = 0
    """Processor threads. 0: all cores, shared among the processes."""
    save_minutes: float = 5.0
    """Minutes between checkpoints."""
    snapshots: int = 40
    """Sample grids over the run, with the same latents every time."""
    evaluate: str = "auto"
    """Measure the model as it learns and keep the best one in best/: kid, mind or fid, with features after a colon (kid:inception); none.
    auto: kid on light features."""
    evaluations: int = 0
    """How often that is done, evenly over the run. 0: as often as costs at most 5 % of the time, as timed at the start; at most 40."""
    out: str = ""
    """Folder of the run. Empty: the next free runs/NAME-001."""
    rescue: bool = False
    """Heed the guard: where samples have gone bad, go back to where they were healthy with a lower learning rate, at most three times."""
    log: tuple[str, ...] = ()
    """Trackers beside the files: tensorboard, wandb, mlflow."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:  # refuses what is not a number, too
            raise UsageError(f"--minutes must be a number above 0; got {self.minutes}.")
        if not 0 <= self.save_minutes < math.inf:
            raise UsageError(f"--save-minutes must be a number of at least 0; got {self.save_minutes}.")
        for option, least in (("examples", 1), ("batch", 0), ("accumulate", 1), ("threads", 0), ("snapshots", 1), ("evaluations", 0)):
            if (value := getattr(self, option)) is not None and value < least:
                raise UsageError(f"--{option} must be at least {least}; got {value}.")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed must be from 0 to 2^63 - 1; got {self.seed}.")
        if not 0 <= self.ema <= 1:
            raise UsageError(f"--ema is a fraction of the examples seen, from 0 to 1; got {self.ema}. Usual: 0.05.")
        if self.batch % self.accumulate:
            raise UsageError(f"--accumulate {self.accumulate} does not divide --batch {self.batch}.")
        _choice("evaluate", self.evaluate.partition(":")[0], ("auto", "none", "kid", "mind", "fid"))
        if self.evaluate.startswith("none:"):
            raise UsageError(f"--evaluate none measures nothing, so no features go with it; got '{self.evaluate}'.")
        _choice("precision", self.precision, ("auto", "fp32", "bf16"))
        _choice("layout", self.layout, ("auto", "contiguous", "channels_last"))
