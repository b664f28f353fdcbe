"""--batch 0: the machine's own batch."""

from __future__ import annotations

import json

import pytest

import ganforge
from ganforge.core import machine
from ganforge.core import recipe as recipes_json
from ganforge.data.images import Images
from ganforge.recipes import find
from ganforge.runs import plateau


def recipe(**options):
    return recipes_json.override(find("dcgan")(data=Images(path="x")), {"batch": 0, **options})


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        ({16: 100, 32: 180, 64: 300, 128: 310, 256: 320, 512: 0}, 64),  # 300 is more than nine tenths of 320; 512 does not fit
        ({16: 100, 32: 180, 64: 300, 128: 310, 256: 320, 512: 640}, 512),
        ({6: 1}, 6),
    ],
)
def test_the_smallest_batch_that_is_nearly_as_fast_as_any_is_taken(rates, wanted):
    chosen, why = plateau.choose(recipe(), rates.get, list(rates))
    assert chosen.run.batch == wanted and why.startswith(f"batch {wanted},")


@pytest.mark.parametrize(
    ("options", "count", "wanted"),
    [
        ({}, 10_000, [16, 32, 64, 128, 256, 512]),
        ({}, 300, [16, 32, 64, 128, 256]),
        ({"accumulate": 32}, 10_000, [32, 64, 128, 256, 512]),
        ({"pack": 3}, 100, [99]),  # none of the usual ones can be packed by three
        ({}, 9, [9]),
        ({"accumulate": 100}, 20, [64]),  # nothing can be cut so; the usual batch says why
    ],
)
def test_only_batches_that_can_be_had_are_tried(options, count, wanted):
    assert plateau.batches(recipe(**options), count) == wanted


def test_a_run_with_batch_0_says_and_keeps_what_was_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "speed", lambda method, data, run, device, seconds=1.0: {16: 80.0, 32: 100.0}.get(run.batch, 101.0))
    run = ganforge.train("digits", "dcgan", batch=0, width=8, examples=64, evaluate="none", out=str(tmp_path / "run"))
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["fields"]["run"]["batch"] == 32 and run.total == 64
    assert "batch 32, from which on larger ones are hardly quicker here" in capsys.readouterr().out
