"""--batch 0: the machine's own batch."""

from __future__ import annotations

import json

import pytest

import ganforge
from ganforge.core import machine
from ganforge.data.images import Images
from ganforge.recipes import find
from ganforge.runs import plateau


@pytest.mark.parametrize(
    ("rates", "most", "accumulate", "wanted"),
    [
        ({16: 100, 32: 180, 64: 300, 128: 310, 256: 320, 512: 0}, 10_000, 1, 64),  # 300 is more than nine tenths of 320; 512 does not fit
        ({16: 100, 32: 180, 64: 300, 128: 310, 256: 320, 512: 640}, 300, 1, 64),  # no more than there are images
        ({32: 180, 64: 300, 128: 600}, 200, 32, 128),
        ({3: 1}, 2, 3, 3),  # nothing fits: the least that can be cut
    ],
)
def test_the_smallest_batch_that_is_nearly_as_fast_as_any_is_taken(rates, most, accumulate, wanted):
    tried = []
    recipe, why = plateau.choose(find("dcgan")(data=Images(path="x")), lambda b: tried.append(b) or rates[b], most, accumulate)
    assert recipe.run.batch == wanted and why.startswith(f"batch {wanted},")
    assert set(tried) <= set(rates)


def test_a_run_with_batch_0_says_and_keeps_what_was_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "speed", lambda method, data, run, device, seconds=1.0: {16: 80.0, 32: 100.0}.get(run.batch, 101.0))
    run = ganforge.train("digits", "dcgan", batch=0, width=8, examples=64, evaluate="none", out=str(tmp_path / "run"))
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["fields"]["run"]["batch"] == 32 and run.total == 64
    assert "batch 32, from which on larger ones are hardly quicker here" in capsys.readouterr().out
