"""All threads that decode share one memory budget."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ganforge.data import budget as module
from ganforge.data.budget import Budget, weight
from ganforge.data.decode import Look
from ganforge.data.opening import Probe, Unusable
from tests.faults.make import PEAK, encoded, noise

LOOK = Look(32, 32, 3)


def test_threads_together_never_hold_more_than_the_budget():
    budget, held, most, lock = Budget(100), 0, 0, threading.Lock()

    def work(need):
        nonlocal held, most
        with budget.hold(need):
            with lock:
                held += need
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= need

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [30, 60, 10, 100, 45] * 8))
    assert 60 < most <= 100 and budget.free == 100


def test_what_needs_more_than_the_budget_is_alone_and_errors_give_it_back():
    budget = Budget(100)
    with budget.hold(500):
        assert budget.free == 0
    with pytest.raises(KeyError), budget.hold(40):
        raise KeyError
    assert budget.free == 100


def test_what_cannot_fit_into_the_machine_is_not_even_tried(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 400 * 2**20)
    budget = Budget()
    assert budget.size == 100 * 2**20
    with budget.hold(399 * 2**20):
        pass
    with pytest.raises(Unusable, match="too large: decoding it takes about 401 MB, more than the free memory"), budget.hold(401 * 2**20):
        pass


def test_a_jpeg_that_is_decoded_at_an_eighth_weighs_little():
    full, eighth = (weight(Probe(side, side, "RGB", "JPEG"), 0, LOOK) / side**2 for side in (64, 512))
    assert full == module.PROGRESSIVE + module.MIXED and eighth == module.PROGRESSIVE + module.MIXED / 64


SIDE = 2400
KINDS = {
    "rgb.png": lambda x: encoded(x, compress_level=1),
    "transparent.png": lambda x: encoded(np.dstack([x, x[..., 0]]), compress_level=1),
    "clear colour.png": lambda x: encoded(x, compress_level=1, transparency=(1, 2, 3)),
    "clear palette.png": lambda x: encoded(Image.fromarray(x).quantize(32), compress_level=1, transparency=0),
    "16 bits.png": lambda x: encoded(x[..., 0].astype(np.uint16) * 200, compress_level=1),
    "32 bits.tif": lambda x: encoded(x[..., 0].astype(np.int32) * 10**6, "TIFF", compression="tiff_lzw"),
    "float.tif": lambda x: encoded(x[..., 0].astype(np.float32) * 9, "TIFF", compression="tiff_lzw"),
    "plain.jpg": lambda x: encoded(x, "JPEG", quality=50),
    "progressive.jpg": lambda x: encoded(x, "JPEG", quality=50, progressive=True, subsampling=0),
    "lossy.webp": lambda x: encoded(x, "WEBP", quality=30, method=0),
    "clear.webp": lambda x: encoded(np.dstack([x, x[..., 0]]), "WEBP", quality=30, method=0),
    "frames.gif": lambda x: encoded(Image.fromarray(x).quantize(32), "GIF", save_all=True, append_images=[Image.fromarray(x[::-1])]),
}


def test_no_kind_of_image_takes_more_than_its_weight(tmp_path):
    coarse = np.repeat(np.repeat(noise(0, SIDE // 40, SIDE // 40), 40, 0), 40, 1)
    for name, make in KINDS.items():
        (tmp_path / name).write_bytes(make(coarse))
    program = (
        "import json, sys\nfrom pathlib import Path\nfrom ganforge.data.budget import weight\n"
        "from ganforge.data.decode import Look, pictures\nfrom ganforge.data.opening import probe\n"
        + PEAK
        + "now = lambda: int(Path('/proc/self/statm').read_text().split()[1]) // 256\n"
        "told, look = {}, Look(1024, 1024, 3)\n"  # as large as can be asked for, so that no JPEG is halved
        "def load(path):\n"
        "    head = probe(path.open('rb'), True)\n"
        "    before = now(); Path('/proc/self/clear_refs').write_text('5')\n"
        "    for one in pictures(path.open('rb'), look, head.frames): pass\n"
        "    told[path.name] = [peak() - before, weight(head, path.stat().st_size, look) // 2**20]\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()) * 2: load(path)\n"  # the first time also loads the decoders
        "print(json.dumps(told))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    told = json.loads(done.stdout)
    print(told)
    fixed = 25  # the finished picture and what decoders keep, whatever the size
    assert told.keys() == KINDS.keys() and {name: pair for name, pair in told.items() if pair[0] > pair[1] + fixed} == {}
    # the median, as a busy machine takes memory back meanwhile, and some then seem to take none
    assert statistics.median(taken for taken, _ in told.values()) > 15, "nothing was measured"
