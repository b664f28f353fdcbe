"""Classes from folders, CSV and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.data.describe import summary
from ganforge.data.images import Images


def put(root: Path, *names: str) -> Path:
    """A different small image under every name."""
    for k, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8, 3), np.uint8)).save(root / name)
    return root


def load(root: Path, labels: str = "auto"):
    return Images(path=str(root), labels=labels).load(root.parent / "cache")


def classes(got) -> list[str]:
    return [got.names[k] for k in got.labels.tolist()]


def test_sub_folders_are_classes_in_natural_order(tmp_path):
    root = put(tmp_path / "in", "c10/a.png", "c10/b.png", "c2/a.png", "c2/x/b.png")
    got = load(root)
    assert got.names == ("c2", "c10") and classes(got) == ["c2", "c2", "c10", "c10"] and got.spec.classes == 2
    assert got.report["class_counts"] == {"c2": 2, "c10": 2}
    assert "2 classes, 2 images each: c2, c10" in summary(got)
    assert load(root, "none").labels is None and load(root, "none").spec.classes == 0


def test_images_beside_the_folders_mean_no_classes_unless_asked_for(tmp_path):
    root = put(tmp_path / "in", "top.png", "a/1.png", "a/2.png", "b/1.png")
    assert load(root).labels is None
    with pytest.raises(DataError, match="1 images lie outside sub-folders"):
        load(root, "folders")
    with pytest.raises(DataError, match="Leave these out: --drop-unlabelled"):
        load(root, "folders")
    got = Images(path=str(root), labels="folders", drop_unlabelled=True).load()
    assert classes(got) == ["a", "a", "b"] and got.report["skipped"] == [
        {"file": "top.png", "reason": "no label: no class is known for it"}
    ]
    with pytest.raises(DataError, match="1 images lie outside sub-folders.$"):
        Images(path=str(put(tmp_path / "few", "top.png", "a/1.png", "a/2.png")), labels="folders", drop_unlabelled=True).load()
    with pytest.raises(DataError, match="only the folder a"):
        load(put(tmp_path / "one", "a/1.png", "a/2.png"), "folders")


def test_a_folder_for_every_image_is_not_taken_as_classes(tmp_path):
    got = load(put(tmp_path / "in", "a/1.png", "b/1.png", "c/1.png", "d/1.png"))
    assert got.labels is None and "4 sub-folders hold 4 images" in got.report["notes"][0]


def test_train_and_test_folders_are_parts_not_classes(tmp_path):
    names = [f"{part}/{kind}/{k}.png" for part in ("train", "test") for kind in ("cat", "dog") for k in range(3)]
    got = load(put(tmp_path / "in", *names, "val/cat/0.png"))
    assert got.names == ("cat", "dog") and len(got) == 6
    assert got.held_out is not None and classes(got.held_out) == ["cat"] * 3 + ["dog"] * 3
    assert any("val not used" in n for n in got.report["notes"])


def test_a_stylegan_dataset_json_is_found(tmp_path):
    root = put(tmp_path / "in", "00000/img0.png", "00000/img1.png", "00001/img2.png", "00001/img3.png")
    pairs = [["00000/img0.png", 7], ["00000/img1.png", 3], ["00001/img2.png", 7], ["00001/img3.png", 3]]
    (root / "dataset.json").write_text(json.dumps({"labels": pairs}))
    got = load(root)
    assert got.names == ("3", "7") and classes(got) == ["7", "3", "7", "3"]
    (root / "dataset.json").write_text(json.dumps({"labels": None}))
    assert load(root).labels is None
    (root / "dataset.json").write_text(json.dumps({"labels": [["00000/img0.png", [0.1, 0.2]]]}))
    with pytest.raises(DataError, match="entry 1"):
        load(root)


def test_a_json_dictionary_of_names_works(tmp_path):
    root = put(tmp_path / "in", "images/a.png", "images/b.png", "images/c.png")
    (root / "labels.json").write_text(json.dumps({"a.png": "cat", "b.png": "dog", "images/c.png": "cat"}))
    assert classes(load(root)) == ["cat", "dog", "cat"]


@pytest.mark.parametrize(
    "body",
    [
        b"a.png,cat\nb.png,dog\nc.png,cat\n",
        b"file,label\na.png,cat\nb.png,dog\nc.png,cat\n",
        b"\xef\xbb\xbffile;label\r\na.png;cat\r\nb.png;dog\r\nc.png;cat\r\n",
        b"extra\tclass\tfilename\n1\tcat\ta.png\n2\tdog\tb.png\n3\tcat\tc.png\n",
        b"label,image\ncat,a\ndog,b\n\ncat,c\n",
        'file,label,note\na.png,cat,"two\nlines"\nb.png,dog,\nc.png,cat,"x, y"\n'.encode("utf-16"),
    ],
    ids=["bare", "header", "bom-semicolon-crlf", "tabs-columns-swapped", "names-without-ending", "utf16-quoted-newline"],
)
def test_many_kinds_of_csv_mean_the_same(tmp_path, body):
    root = put(tmp_path / "in", "a.png", "b.png", "c.png")
    (root / "labels.csv").write_bytes(body)
    got = load(root)
    assert got.names == ("cat", "dog") and classes(got) == ["cat", "dog", "cat"]
    assert got.report["notes"][0].startswith("labels from labels.csv")


def test_an_outside_csv_in_windows_letters_is_read(tmp_path):
    root = put(tmp_path / "in", "a.png", "b.png", "c.png", "d.png")
    (tmp_path / "mine.csv").write_bytes("file,label\na.png,größe\nb.png,x\nc.png,x\nd.png,größe\n".encode("cp1252"))
    assert load(root, str(tmp_path / "mine.csv")).names == ("größe", "x")
    with pytest.raises(UsageError, match="there is no such file"):
        load(root, "nowhere.csv")


def test_all_problems_of_a_label_file_are_told_at_once(tmp_path):
    root = put(tmp_path / "in", "a.png", "b.png", "c.png")
    (root / "labels.csv").write_text("file,label\na.png,cat\nmissing.png,dog\nb.png,\nc.png\na.png,dog\n")
    with pytest.raises(DataError) as caught:
        load(root)
    told = str(caught.value)
    assert "5 problems" in told and "--labels none" in told
    for words in (
        "line 3: missing.png is not",
        "line 4: b.png has no label",
        "line 5: 1 cell",
        "c.png is not in the list",
        "line 6: a.png is 'dog' here, but 'cat' in line 2",
    ):
        assert words in told


def test_images_without_a_label_are_left_out_and_counted_if_asked(tmp_path):
    root = put(tmp_path / "in", "a.png", "b.png", "c.png", "d.png", "e.png")
    (root / "labels.csv").write_text("a.png,x\nb.png,y\nc.png,x\nd.png,x\n")
    with pytest.raises(DataError, match="(?s)e.png is not in the list.*--drop-unlabelled"):
        load(root)
    got = Images(path=str(root), drop_unlabelled=True).load(tmp_path / "cache")
    assert len(got) == 4 and got.report["skipped"] == [{"file": "e.png", "reason": "no label: no class is known for it"}]


def test_labels_that_are_names_are_refused(tmp_path):
    root = put(tmp_path / "in", *(f"{k}.png" for k in range(8)))
    (root / "labels.csv").write_text("".join(f"{k}.png,person{k}\n" for k in range(8)))
    with pytest.raises(DataError, match="8 different labels for 8 images"):
        load(root)


def test_a_listed_image_that_is_broken_only_drops_itself(tmp_path):
    root = put(tmp_path / "in", "a.png", "b.png", "c.png")
    (root / "bad.png").write_bytes(b"no")
    (root / "labels.csv").write_text("a.png,x\nbad.png,x\nb.png,y\nc.png,y\n")
    got = load(root)
    assert classes(got) == ["x", "y", "y"] and got.report["reasons"] == {"not an image": 1}


@pytest.mark.parametrize("body", ["", "\n\n", "file,label\n", "a,b,c\n1,2,3\n"])
def test_empty_and_strange_label_files_are_explained(tmp_path, body):
    root = put(tmp_path / "in", "a.png", "b.png")
    (root / "labels.csv").write_text(body)
    with pytest.raises(DataError, match=r"labels.csv (is empty|has)"):
        load(root)
