"""A run made to fail ends healthy if it heeds the guard: half a minute each, run by `make slow`."""

import pytest

import ganforge

pytestmark = pytest.mark.slow
SMALL = {"width": 8, "z": 32, "batch": 64, "precision": "fp32", "layout": "contiguous", "threads": 1, "device": "cpu"}
SMALL |= {"evaluate": "none", "snapshots": 1, "save_minutes": 60, "examples": 40_000}


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_a_learning_rate_a_hundred_times_too_high_is_rescued(seed, tmp_path):
    """With seed 11 the coverage at the end was 0.88; without rescue it was 0."""
    ends = {}
    for rescue in (False, True):
        run = ganforge.train("digits", "dcgan", lr=0.1, seed=seed, rescue=rescue, out=str(tmp_path / str(rescue)), **SMALL)
        ends[rescue] = run.history()[-1]
    assert ends[False]["health"] != "learning" and ends[False]["health/coverage"] < 0.3
    assert ends[True]["health"] == "learning" and ends[True]["health/coverage"] > 0.5 and ends[True]["restarts"] >= 1
