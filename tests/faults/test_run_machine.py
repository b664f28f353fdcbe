"""Faults 30, 31, 32, 34: too few images, too little memory, a full disk, a power failure."""

import errno
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganforge
from ganforge.core import checkpoint, limits, machine, memory
from ganforge.core import train as training
from ganforge.core.engine import iterate
from ganforge.core.errors import MemoryShortError, StorageError
from ganforge.core.method import Progress
from ganforge.core.run import Run
from ganforge.runs import preflight
from tests.contract.toys import two_player

from .runs import gan, newest, quick, same, state, train, words


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)


# ---- 30: fewer images than a batch


def photos(folder, count):
    folder.mkdir()
    for i in range(count):
        Image.effect_noise((16, 16), 50 + i).save(folder / f"photo {i}.png")
    return folder


@pytest.mark.parametrize("recipe", ["dcgan", "r3gan"])
def test_fault_30_fewer_images_than_a_batch_make_the_batch_smaller_and_it_is_said(tmp_path, capsys, recipe):
    more = {"blocks": 1, "expansion": 1} if recipe == "r3gan" else {}
    run = train(tmp_path / "run", photos(tmp_path / "photos", 3), recipe, examples=12, **more)
    assert run.finished and "batch 3 instead of 16, as there are only 3 examples" in " ".join(capsys.readouterr().out.split())
    assert state(run.folder)["step"] == 4


def test_fault_30_a_batch_that_must_divide_takes_the_next_that_does(tmp_path, capsys):
    train(tmp_path / "run", photos(tmp_path / "photos", 7), pack=2, examples=12, labels="none")
    assert "batch 6 instead of 16" in " ".join(capsys.readouterr().out.split())


# ---- 31: memory


def short_of_memory(monkeypatch, above, error):
    """Steps with micro-batches larger than `above` fail as the allocator would."""
    sizes = []

    def tried(method, micro, now, **options):
        sizes.append(len(micro[0]["x"]))
        if sizes[-1] > above:
            raise error
        return iterate(method, micro, now, **options)

    monkeypatch.setattr(training, "iterate", tried)
    return sizes


ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    "python": MemoryError(),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_fault_31_out_of_memory_halves_the_micro_batch_and_adds_up_to_the_same_batch(tmp_path, monkeypatch, capsys, kind):
    sizes = short_of_memory(monkeypatch, 4, ERRORS[kind])
    run = train(tmp_path / "run", save_minutes=5.0)
    assert run.finished and set(sizes) == {16, 8, 4} and state(run.folder)["accumulate"] == 4 and state(run.folder)["step"] == 12
    assert "memory ran out: micro-batches of 4, 4 of them added up to the same batch of 16" in " ".join(capsys.readouterr().out.split())


def test_fault_31_a_run_that_went_on_with_less_memory_resumes_bit_for_bit(tmp_path, monkeypatch):
    for name in ("whole", "cut"):
        with monkeypatch.context() as patch:
            short_of_memory(patch, 4, MemoryError())
            train(tmp_path / name)
    (newest(tmp_path / "cut") / "state.json").write_text("damaged, so that the one before has to be taken")
    assert ganforge.resume(tmp_path / "cut").finished  # with memory enough for all at once, now
    same(tmp_path / "whole", tmp_path / "cut")


def test_fault_31_not_even_one_example_fits_is_an_error_of_one_sentence(tmp_path, monkeypatch):
    short_of_memory(monkeypatch, 0, MemoryError())
    with pytest.raises(
        MemoryShortError, match="memory ran out even with micro-batches of 1 .MemoryError.. Close other programs, or"
    ) as caught:
        train(tmp_path / "run")
    assert caught.value.exit_code == 5


def test_fault_31_other_errors_are_not_taken_for_it(tmp_path, monkeypatch):
    sizes = short_of_memory(monkeypatch, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        train(tmp_path / "run")
    assert sizes == [16]


def test_fault_31_micro_batches_divide_and_the_gradient_is_that_of_the_batch():
    run = Run(batch=48)
    cuts = []
    while run := memory.smaller(run, 2, lambda run: True):
        cuts.append((run.accumulate, run.batch))
    assert cuts == [(2, 48), (4, 48), (8, 48), (24, 48)]
    assert memory.smaller(Run(batch=48), 1, lambda run: run.accumulate % 3 == 0).accumulate == 3


def test_fault_31_what_cannot_fit_is_refused_before_it_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: (10**9, 10**7))
    with pytest.raises(MemoryShortError, match="needs about .* GB of memory even with micro-batches of 1; 10 MB are free"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fault_31_what_fits_only_in_parts_is_cut_before_it_starts(tmp_path, monkeypatch, capsys):
    # what the whole batch needs, less what half of it saves
    found = {}
    plain = memory.needs
    monkeypatch.setattr(memory, "needs", lambda *a: found.setdefault("needs", plain(*a)))
    monkeypatch.setattr(limits, "memory", lambda: (10**9, found["needs"].training(9) if found else 10**9))
    run = train(tmp_path / "run", save_minutes=5.0)
    assert "micro-batches of 8, 2 of them added up to the same batch of 16: the whole" in " ".join(capsys.readouterr().out.split())
    assert run.finished and state(run.folder)["accumulate"] == 2


def test_fault_31_the_estimate_counts_state_exactly_and_grows_with_the_batch():
    needs = memory.needs(two_player, {"x": torch.randn(8, 2)})
    method = two_player()
    iterate(method, [{"x": torch.randn(8, 2)}], Progress(0, 0, 1))
    tensors, _ = checkpoint.collect(method, memory.Average(method.exports, 0.1))
    assert needs.state == sum(t.numel() * t.element_size() for t in tensors.values())
    assert needs.each > 0 and needs.training(64) > needs.training(32) > needs.fixed


def test_fault_31_the_estimate_waits_until_every_player_has_moved():
    """A generator that moves at every third step has moments then, and keeps what the others do not."""
    every, third = (memory.needs(partial(two_player, critic_steps=steps), {"x": torch.randn(8, 2)}) for steps in (1, 3))
    assert third.state == every.state and third.each == every.each


SQUEEZED = """
import resource, sys, torch
torch.set_num_threads(1)
from ganforge.core import memory
from ganforge.runs import recover
from ganforge.recipes import find
from ganforge.data.images import Images
from ganforge.core import recipe as recipes_json
recipe = recipes_json.override(find("dcgan")(data=Images(path="digits")), {"batch": 512})
torch.zeros(10).add(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
def step(recipe):
    size = recipe.run.batch // recipe.run.accumulate
    return size, torch.zeros(size, 2**20).add_(1).sum().item()  # 4 MB an example
said = []
size, total = recover.within_memory(step, recipe, said.append)
assert size == 64 and total == size * 2**20, size
assert len(said) == 3 and said[-1].startswith("memory ran out: micro-batches of 64, 8 of them"), said
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_fault_31_the_real_allocator_is_understood_where_memory_is_limited(tmp_path):
    done = subprocess.run([sys.executable, "-c", SQUEEZED], capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]


def test_fault_31_networks_far_too_large_are_refused_by_their_weights_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: (2 * 10**9, 10**8))
    monkeypatch.setattr(memory, "needs", lambda *a: pytest.fail("they were built"))
    with pytest.raises(MemoryShortError, match=r"needs about [\d,.]+ GB of memory even with micro-batches of 1; 0.1 GB are free"):
        train(tmp_path / "run", width=32768)


def test_fault_31_a_candidate_that_does_not_fit_is_never_measured(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(preflight, "fits", lambda *a: False)
    monkeypatch.setattr(machine, "speed", lambda *a, **k: tried.append(k.get("seconds")) or 1000.0)
    ganforge.train("digits", "auto", out=str(tmp_path / "run"), dry_run=True, minutes=1.0, batch=16, threads=1)
    assert 0.7 not in tried, "0.7 s is what a candidate gets"


# ---- 32: the disk


def test_fault_32_a_disk_that_is_full_for_a_while_is_tried_again_while_training_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "PAUSE", 0.0)
    plain, calls = checkpoint.write_flushed, []

    def full(path, data):
        if path.name == "state.safetensors":
            calls.append(path)
            if len(calls) in (4, 5):
                path.write_bytes(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
        return plain(path, data)

    monkeypatch.setattr(checkpoint, "write_flushed", full)
    run = train(tmp_path / "run")
    out = " ".join(capsys.readouterr().out.split())
    assert run.finished and out.count("No space left on device") == 2
    assert "The training goes on meanwhile and tries again in" in out
    assert "No space left" in (run.folder / "log.txt").read_text()
    assert len(calls) == 12 and state(run.folder)["step"] == 12 and not list((run.folder / "ckpt").glob(".*"))


def test_fault_32_a_disk_that_takes_nothing_at_all_for_a_while_loses_no_reading(tmp_path, monkeypatch, capsys):
    """Every write in the folder fails for four steps, in the middle of a line of metrics.jsonl where that is written."""
    monkeypatch.setattr(training, "PAUSE", 0.0)
    steps, plain_open, plain_flushed = [], Path.open, checkpoint.write_flushed

    def full():
        return 5 <= len(steps) <= 8

    def opened(self, mode="r", *a, **k):
        if full() and tmp_path in self.parents and mode != "r":
            if self.name == "metrics.jsonl":
                with plain_open(self, mode) as file:
                    file.write('{"seen": 1')
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain_open(self, mode, *a, **k)

    def flushed(path, data):
        if full():
            raise OSError(errno.ENOSPC, "No space left on device")
        plain_flushed(path, data)

    def counted(*a, **k):
        steps.append(1)
        return iterate(*a, **k)

    monkeypatch.setattr(training, "RETRIES", 9)
    monkeypatch.setattr(training, "iterate", counted)
    monkeypatch.setattr(checkpoint, "write_flushed", flushed)
    monkeypatch.setattr(Path, "open", opened)
    run = train(tmp_path / "run", snapshots=12)
    out = " ".join(capsys.readouterr().out.split())
    assert run.finished and state(run.folder)["step"] == 12
    assert [line["step"] for line in run.history()] == list(range(1, 13))
    assert out.count("the readings wait for the disk, the training goes on: ") == 1
    assert out.count("tries again in") == 4
    assert ganforge.load(run.folder).generate([1])


def test_fault_32_a_disk_that_stays_full_ends_the_run_and_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "PAUSE", 0.0)
    usage = shutil.disk_usage

    def nearly_full(place):
        there = (tmp_path / "run" / "ckpt").is_dir() and list((tmp_path / "run" / "ckpt").glob("[0-9]*"))
        return usage(place)._replace(free=1000) if there else usage(place)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(StorageError, match=r"It needs ([\d,]+) bytes; 1,000 are free, so ([\d,]+) are missing") as caught:
        train(tmp_path / "run")
    need = sum(t.numel() * t.element_size() for t in checkpoint.read(tmp_path / "run")[0].values() if t.ndim or t.numel())
    assert caught.value.exit_code == 5 and state(tmp_path / "run")["step"] == 1 and need > 1000
    monkeypatch.undo()
    assert ganforge.resume(tmp_path / "run").finished


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_FSIZE")
def test_fault_32_a_real_limit_of_the_system_leaves_the_old_checkpoint_and_exits_with_5(tmp_path):
    limit = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nfrom ganforge.core import checkpoint, train\n"
        "train.RETRIES = 0\nplain, calls = checkpoint.write, []\n"
        "def write(*a, **k):\n calls.append(1)\n"
        " if len(calls) == 3: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n return plain(*a, **k)\n"
        "checkpoint.write = write"
    )
    process = gan(
        "train", "digits", "--recipe", "dcgan", *words(examples=16 * 40, save_minutes=0.0), "--out", "run", cwd=tmp_path, before=limit
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 5 and "error: the checkpoint at 48 examples could not be written" in err and "Traceback" not in err
    assert "File too large. It needs " in err and state(tmp_path / "run")["step"] == 2
    assert not list((tmp_path / "run" / "ckpt").glob(".*.tmp"))


def test_fault_32_a_run_that_cannot_fit_onto_the_disk_is_refused_before_it_starts(tmp_path, monkeypatch):
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(place)._replace(free=5000))
    with pytest.raises(StorageError, match=r"this run needs up to ([\d,]+) bytes of disk at .*; 5,000 are free, so ([\d,]+) are missing"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- 34: the order of writing


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_fault_34_files_then_their_folder_are_flushed_before_the_rename_and_the_pointer_comes_last(tmp_path, monkeypatch):
    order, plain = [], {name: getattr(os, name) for name in ("fsync", "replace")}

    def name_of(descriptor):
        return os.readlink(f"/proc/self/fd/{descriptor}").rsplit("/", 1)[-1]

    monkeypatch.setattr(os, "fsync", lambda d: (order.append(("flush", name_of(d))), plain["fsync"](d))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(("rename", os.path.basename(b))), plain["replace"](a, b))[1])
    method = two_player()
    iterate(method, [{"x": torch.randn(8, 2)}], Progress(0, 0, 1))
    checkpoint.write(tmp_path, 16, method, memory.Average(method.exports, 0.1), {"step": 1})
    aside, name = ".000000000016.tmp", "000000000016"
    assert order == [
        ("flush", "state.safetensors"),
        ("flush", "state.json"),
        ("flush", "MANIFEST.sha256"),
        ("flush", aside),
        ("rename", name),
        ("flush", "ckpt"),
        ("flush", ".LATEST.tmp"),
        ("rename", "LATEST"),
        ("flush", "ckpt"),
    ]


# ---- threads


def test_fewer_threads_are_taken_only_if_they_are_faster(monkeypatch):
    threads = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: threads.__setitem__(0, n))
    speeds = {2: 130.0, 1: 90.0}
    count, rate, why = machine.quickest_threads(100.0, lambda: speeds[threads[0]])
    assert (count, rate, threads[0]) == (2, 130.0, 2) and why == "2 threads, the best of what was tried (examples/s: 4: 100, 2: 130, 1: 90)"
    threads[0] = 4
    assert machine.quickest_threads(100.0, lambda: 101.0)[0] == 4 == threads[0]
