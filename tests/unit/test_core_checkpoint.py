"""Checkpoints: whatever happens while one is written or afterwards to its files, the newest whole one is found."""

import errno
import json
import os
import shutil
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, RMSprop

from ganforge import losses
from ganforge.core import checkpoint
from ganforge.core.ema import Average
from ganforge.core.engine import iterate
from ganforge.core.errors import CheckpointError, StorageError
from ganforge.core.method import Progress
from ganforge.methods.two_player import TwoPlayer
from ganforge.networks import image
from ganforge.networks.latent import Normal
from tests.contract.toys import two_player


def setting(make=two_player, steps=2, shape=(2,)):
    method = make()
    average = Average(method.exports, 0.05)
    for i in range(steps):
        iterate(method, [{"x": torch.randn(8, *shape)}], Progress(i, 8 * i, 80))
        average.update(Progress(i + 1, 8 * i + 8, 80), 8)
    return method, average


def save(folder, seen, pair=None, **facts):
    return checkpoint.write(folder, seen, *(pair or setting()), {"step": seen // 8, **facts})


def names(folder):
    return sorted(p.name for p in (folder / "ckpt").iterdir())


def test_what_is_written_is_read(tmp_path):
    method, average = setting()
    place = checkpoint.write(tmp_path, 16, method, average, {"step": 2, "seconds": 1.5}, {"meter/a": torch.tensor([1.0, 2.0])})
    tensors, state = checkpoint.read(tmp_path)
    assert place.name == "000000000016" == (tmp_path / "ckpt" / "LATEST").read_text()
    assert (state["seen"], state["step"], state["seconds"], state["format"]) == (16, 2, 1.5, checkpoint.FORMAT)
    assert torch.equal(tensors["meter/a"], torch.tensor([1.0, 2.0]))
    for key, value in method.state_dict().items():
        assert torch.equal(tensors[f"method/{key}"], value)


def test_nothing_written_is_none_and_not_an_error(tmp_path):
    assert checkpoint.read(tmp_path) is None
    (tmp_path / "ckpt").mkdir()
    assert checkpoint.read(tmp_path) is None


def test_the_two_newest_are_kept_and_nothing_else(tmp_path):
    for seen in (8, 16, 24, 1000):
        save(tmp_path, seen)
    assert names(tmp_path) == ["000000000024", "000000001000", "LATEST"]
    assert checkpoint.read(tmp_path)[1]["seen"] == 1000


def test_the_newest_is_found_by_number_not_by_date(tmp_path):
    older = save(tmp_path, 8)
    save(tmp_path, 10**9)
    os.utime(older, (2**33, 2**33))
    assert checkpoint.read(tmp_path)[1]["seen"] == 10**9


def test_a_checkpoint_takes_later_ones_with_it_which_are_of_a_course_that_was_rolled_back(tmp_path):
    for seen in (8, 16, 32, 24):
        save(tmp_path, seen)
    assert names(tmp_path) == ["000000000016", "000000000024", "LATEST"]


def test_skipping_takes_the_one_before_if_there_is_one(tmp_path):
    save(tmp_path, 8)
    assert checkpoint.read(tmp_path, skip=1)[1]["seen"] == 8
    save(tmp_path, 16)
    assert checkpoint.read(tmp_path, skip=1)[1]["seen"] == 8 and checkpoint.read(tmp_path)[1]["seen"] == 16


def test_the_state_is_read_without_the_tensors(tmp_path):
    assert checkpoint.read_state(tmp_path) == {}
    (save(tmp_path, 8) / "state.safetensors").unlink()
    assert checkpoint.read_state(tmp_path)["seen"] == 8
    (save(tmp_path, 16) / "state.json").write_text("{}")
    assert checkpoint.read_state(tmp_path)["seen"] == 8


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(Adam, lr=0.01),
        partial(Adam, lr=0.01, amsgrad=True),
        partial(SGD, lr=0.01, momentum=0.9),
        partial(RMSprop, lr=0.01),
        partial(SGD, lr=0.1),
    ],
)
def test_a_restored_training_goes_on_bit_for_bit(tmp_path, optimizer):
    make = partial(two_player, optimizer=optimizer)
    method, average = setting(make)
    save(tmp_path, 16, (method, average))
    other, mean = setting(make, steps=0)
    checkpoint.restore(other, mean, *checkpoint.read(tmp_path))
    for i, pair in ((2, (method, average)), (2, (other, mean))):
        torch.manual_seed(5)
        iterate(pair[0], [{"x": torch.ones(8, 2)}], Progress(i, 16, 80))
        pair[1].update(Progress(i + 1, 24, 80), 8)
    (one, rest), (two, rest2) = checkpoint.collect(method, average), checkpoint.collect(other, mean)
    assert one.keys() == two.keys() and rest == rest2
    assert all(torch.equal(one[key], two[key]) for key in one)


def convolutional(layout):
    def make():
        g, d = image.dcgan.generator((1, 16, 16), 4, 4), image.dcgan.discriminator((1, 16, 16), 4)
        method = TwoPlayer(g, d, latent=Normal(4), loss=losses.logistic, optimizer=partial(Adam, lr=0.01, foreach=True))
        return method.to(memory_format=layout) if layout else method

    return make


@pytest.mark.parametrize("layout", [None, torch.channels_last])
def test_weights_and_moments_come_back_in_their_layout(tmp_path, layout):
    make = convolutional(layout)
    method, average = setting(make, shape=(1, 16, 16))
    save(tmp_path, 16, (method, average))
    other, mean = setting(make, steps=0, shape=(1, 16, 16))
    checkpoint.restore(other, mean, *checkpoint.read(tmp_path))
    for mine, theirs in zip(method.players, other.players, strict=True):
        for p, q in zip(mine.parameters, theirs.parameters, strict=True):
            assert torch.equal(p, q) and p.stride() == q.stride()
            for name, moment in mine.optimizer.state[p].items():
                back = theirs.optimizer.state[q][name]
                assert torch.equal(moment, back) and moment.stride() == back.stride() and moment.dtype == back.dtype
    if layout:
        assert any(p.ndim == 4 and not p.is_contiguous() for p in method.parameters()), "the test must see another layout"


def test_tensors_that_share_memory_are_stored_each(tmp_path):
    method, average = setting()
    method.register_buffer("again", method.generator.body[0].weight.data)
    method.register_buffer("part", method.generator.body[0].weight.data[1:3])
    method.register_buffer("empty", torch.empty(0))
    method.register_buffer("empty2", torch.empty(0, 3))
    save(tmp_path, 16, (method, average))
    tensors, _ = checkpoint.read(tmp_path)
    for name in ("again", "part", "empty", "empty2"):
        assert torch.equal(tensors[f"method/{name}"], getattr(method, name))


def test_another_network_is_refused_by_name(tmp_path):
    save(tmp_path, 16)
    other = two_player(d_in=4)
    with pytest.raises(CheckpointError, match="(?s)the checkpoint does not fit TwoPlayer.*discriminator.body.0.weight"):
        checkpoint.restore(other, Average(other.exports, 0.05), *checkpoint.read(tmp_path))


# ---- writing: order, crashes, full disks


def recorded(monkeypatch, stop_at=None, error=None):
    """Note every call that touches the disk; at number `stop_at` raise `error` instead of doing it."""
    calls = []

    def spy(owner, name, label):
        plain = getattr(owner, name)

        def call(*args, **kwargs):
            calls.append((label, str(args[0]) if args else ""))
            if stop_at is not None and len(calls) == stop_at + 1:
                raise error
            return plain(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    spy(os, "fsync", "fsync")
    spy(os, "replace", "replace")
    spy(checkpoint, "write_flushed", "write")
    return calls


def test_files_are_flushed_before_the_rename_and_latest_comes_last(tmp_path, monkeypatch):
    pair = setting()
    calls = recorded(monkeypatch)
    checkpoint.write(tmp_path, 16, *pair, {"step": 2})
    labels = [label for label, _ in calls]
    written = [path.rsplit("/", 1)[-1] for label, path in calls if label == "write"]
    assert written == ["state.safetensors", "state.json", "MANIFEST.sha256", ".LATEST.tmp"]
    first = labels.index("replace")
    assert labels[:first] == ["write", "fsync"] * 3 + ["fsync"], "three files flushed, then their folder"
    assert labels[first:] == ["replace", "fsync", "write", "fsync", "replace", "fsync"]
    assert calls[first][1].endswith(".000000000016.tmp")


class Killed(BaseException):
    """As if the power went: nothing in the program catches it."""


@pytest.mark.parametrize("point", range(16))
def test_a_crash_at_any_point_leaves_a_checkpoint_that_loads(tmp_path, monkeypatch, point):
    pair = setting()
    save(tmp_path, 8, pair, which="old")
    with monkeypatch.context() as patch:
        calls = recorded(patch, point, Killed())
        try:
            save(tmp_path, 16, pair, which="new")
        except Killed:
            pass
        else:
            assert point >= len(calls)
    named = any(label == "replace" and path.endswith("LATEST.tmp") for label, path in calls[:point])  # what makes it the newest
    assert checkpoint.read(tmp_path)[1]["which"] == ("new" if named else "old")
    save(tmp_path, 24, pair, which="newer")  # what the crash left lying about is no hindrance
    assert checkpoint.read(tmp_path)[1]["which"] == "newer"
    save(tmp_path, 32, pair)
    assert names(tmp_path) == ["000000000024", "000000000032", "LATEST"]


@pytest.mark.parametrize("point", range(14))
def test_a_full_disk_says_how_much_is_needed_and_leaves_the_old_one(tmp_path, monkeypatch, point):
    pair = setting()
    save(tmp_path, 8, pair)
    before = {p: p.read_bytes() for p in (tmp_path / "ckpt" / "000000000008").iterdir()}
    with monkeypatch.context() as patch:
        recorded(patch, point, OSError(errno.ENOSPC, "No space left on device"))
        try:
            save(tmp_path, 16, pair)
        except StorageError as error:
            need = sum(t.numel() * t.element_size() for t in checkpoint.collect(*pair)[0].values())
            assert f"It needs {need:,} bytes" in str(error) and "are free" in str(error)
            assert "No space left on device" in str(error) and f"gan resume {tmp_path}" in str(error)
    assert {p: p.read_bytes() for p in before} == before
    assert checkpoint.read(tmp_path)[1]["seen"] in (8, 16)
    assert not list((tmp_path / "ckpt").glob(".*.tmp")), "nothing half-written keeps the disk full"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    checkpoint.replace_file(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        checkpoint.replace_file(path, b"new and longer")
    assert path.read_bytes() == b"old"


# ---- reading: damaged and foreign files


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGE = {
    "truncated": truncate,
    "one bit flipped": flip,
    "emptied": lambda p: p.write_bytes(b""),
    "deleted": lambda p: p.unlink(),
    "replaced by text": lambda p: p.write_text("hello"),
    "replaced by a folder": lambda p: (p.unlink(), p.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "MANIFEST.sha256"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, file, damage):
    pair = setting()
    save(tmp_path, 8, pair)
    place = save(tmp_path, 16, pair)
    DAMAGE[damage](place / file)
    assert checkpoint.read(tmp_path)[1]["seen"] == 8
    shutil.rmtree(tmp_path / "ckpt" / "000000000008")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*ckpt can be read:\n  000000000016: "):
        checkpoint.read(tmp_path)


def reseal(place):
    """A manifest that fits the files as they are."""
    import hashlib

    lines = [f"{hashlib.sha256((place / name).read_bytes()).hexdigest()}  {name}\n" for name in ("state.safetensors", "state.json")]
    (place / "MANIFEST.sha256").write_text("".join(lines))


@pytest.mark.parametrize("state", ["[]", "3", "null", "{}", '{"format": "new"}', '{"format": null}'])
def test_foreign_json_with_a_fitting_manifest_is_refused_in_words(tmp_path, state):
    place = save(tmp_path, 16)
    (place / "state.json").write_text(state)
    reseal(place)
    with pytest.raises(CheckpointError):
        checkpoint.read(tmp_path)


def test_foreign_tensors_with_a_fitting_manifest_are_refused_in_words(tmp_path):
    place = save(tmp_path, 16)
    (place / "state.safetensors").write_bytes(b"\x80\x04pickle, say")
    reseal(place)
    with pytest.raises(CheckpointError):
        checkpoint.read(tmp_path)


def test_a_newer_format_is_named(tmp_path):
    place = save(tmp_path, 16)
    state = json.loads((place / "state.json").read_text()) | {"format": checkpoint.FORMAT + 1}
    (place / "state.json").write_text(json.dumps(state))
    reseal(place)
    with pytest.raises(CheckpointError, match=f"newer Ganforge .format {checkpoint.FORMAT + 1}, this one reads {checkpoint.FORMAT}"):
        checkpoint.read(tmp_path)


@pytest.mark.parametrize("change", [{"optimizers": {}}, {"optimizers": None}, {"optimizers": {"discriminator": {}, "generator": {}}}])
def test_a_state_that_does_not_fit_is_refused_in_words(tmp_path, change):
    save(tmp_path, 16)
    tensors, state = checkpoint.read(tmp_path)
    method, average = setting(steps=0)
    with pytest.raises(CheckpointError, match="does not fit"):
        checkpoint.restore(method, average, tensors, state | change)


def test_a_missing_tensor_is_named(tmp_path):
    save(tmp_path, 16)
    tensors, state = checkpoint.read(tmp_path)
    del tensors["method/generator.body.0.weight"]
    method, average = setting(steps=0)
    with pytest.raises(CheckpointError, match="generator.body.0.weight"):
        checkpoint.restore(method, average, tensors, state)


def test_modules_with_nothing_to_learn_are_no_special_case(tmp_path):
    method, average = setting()
    method.add_module("nothing", nn.Identity())
    save(tmp_path, 16, (method, average))
    checkpoint.restore(method, average, *checkpoint.read(tmp_path))
