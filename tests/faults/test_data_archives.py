"""Faults 23 and 24: archives and label files."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from ganforge.core.errors import DataError
from ganforge.data.describe import summary

from .make import PEAK, encoded, fill, look, noise, reasons, state

GOOD = [encoded(noise(k)) for k in range(4)]


def archive(path, members, **options):
    """A zip of (name, bytes) pairs."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", **options) as box:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, body in members:
            box.writestr(name, body)
    return path


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_fault_23_truncated_zip_is_refused(tmp_path, part):
    path = archive(tmp_path / "a.zip", [(f"{k}.png", body) for k, body in enumerate(GOOD)])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(DataError, match="not a whole zip") as caught:
        look(path)
    assert caught.value.exit_code == 3


def test_fault_23_zip_members_that_are_damaged_or_locked_are_skipped(tmp_path):
    names = ["a.png", "b.png", "damaged.png", "locked.png"]
    path = archive(tmp_path / "a.zip", zip(names, GOOD))
    body = bytearray(path.read_bytes())
    body[body.index(b"damaged.png") + 200] ^= 0xFF
    body[body.rindex(b"locked.png") - 46 + 8] |= 1  # the bit of the central directory that says: encrypted
    path.write_bytes(body)
    found = look(path)
    why = reasons(found)
    assert len(found) == 2 and set(why) == {"damaged.png", "locked.png"}
    assert "CRC" in why["damaged.png"] and why["locked.png"].startswith("encrypted")


def test_fault_23_zip_names_that_point_outside_write_nothing_anywhere(tmp_path):
    bad = ["../up.png", "/root.png", "a/../../up.png", "C:\\windows.png", "..\\up2.png", "\\\\host\\share.png"]
    (tmp_path / "in").mkdir()
    path = archive(tmp_path / "in" / "a.zip", [("a.png", GOOD[0]), ("b.png", GOOD[1]), *((name, GOOD[2]) for name in bad)])
    before = state(tmp_path)
    found = look(path)
    assert len(found) == 2 and len(reasons(found)) == len(bad) and all(w.startswith("unsafe name") for w in reasons(found).values())
    assert state(tmp_path) == before


def test_fault_23_nested_zip_and_duplicate_names_are_told(tmp_path):
    inner = archive(tmp_path / "inner.zip", [("x.png", GOOD[3])]).read_bytes()
    path = archive(tmp_path / "a.zip", [("a.png", GOOD[0]), ("b.png", GOOD[1]), ("b.png", GOOD[2]), ("inner.zip", inner)])
    found = look(path)
    why = reasons(found)
    assert len(found) == 2 and found.images[1].numpy().transpose(1, 2, 0).tolist() == noise(1).tolist()
    assert why["b.png"].startswith("duplicate name") and "zip archive" in why["inner.zip"]


def test_fault_23_zip_bomb_takes_no_memory(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as box:
        for k in range(2):
            box.writestr(f"{k}.png", GOOD[k])
        for name, megabytes in (("bomb.png", 1024), ("labels.csv", 200), ("bomb2.png", 200)):
            with box.open(name, "w", force_zip64=True) as member:
                for _ in range(megabytes):
                    member.write(bytes(2**20))
    program = (
        "import json\nfrom ganforge.data.images import Images\n"
        f"load = lambda path: Images(path=path).load(); load({str(fill(tmp_path / 'in'))!r})\n"
        + PEAK
        + f"before = peak(); found = load({str(path)!r})\n"
        "print(json.dumps([peak() - before, len(found), [s['reason'] for s in found.report['skipped']]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    more, count, why = json.loads(done.stdout)
    assert more < 40 and count == 2 and len(why) == 3 and all("too large" in w for w in why)


def test_fault_23_zip_of_70000_members_is_read(tmp_path):
    body = encoded(noise(0, 8, 8))
    path = archive(tmp_path / "a.zip", [*((f"{k}.txt", b"") for k in range(70000)), ("a.png", body), ("b.png", encoded(noise(1, 8, 8)))])
    assert len(look(path)) == 2


def labelled(root, text, count=4):
    fill(root, count, width=8, height=8)
    (root / "labels.csv").write_text(text)
    return root


def test_fault_24_all_problems_of_a_label_file_are_told_at_once(tmp_path):
    lines = ["file,label", "good0.png,cat", "good1.png,nan", "good2.png,", "missing.png,dog", "good0.png,dog"]
    with pytest.raises(DataError) as caught:
        look(labelled(tmp_path / "in", "\n".join(lines)))
    told = str(caught.value)
    assert caught.value.exit_code == 3 and "5 problems" in told
    for words in (
        "line 3: good1.png has no label",
        "line 4: good2.png has no label",
        "line 5: missing.png is not among the images",
        "line 6: good0.png is 'dog' here, but 'cat' in line 2",
        "good3.png is not in the list",
    ):
        assert words in told


def test_fault_24_images_and_labels_without_a_partner_are_left_out_if_asked(tmp_path):
    root = labelled(tmp_path / "in", "file,label\ngood0.png,cat\ngood1.png,nan\nmissing.png,dog\ngood2.png,dog\ngood3.png,cat\n", 5)
    with pytest.raises(DataError, match="--drop-unlabelled"):
        look(root)
    found = look(root, drop_unlabelled=True)
    assert found.names == ("cat", "dog") and found.labels.tolist() == [0, 1, 0]
    assert set(reasons(found)) == {"good1.png", "good4.png"} and any(
        "3 images or labels without a partner" in n for n in found.report["notes"]
    )
    (root / "labels.csv").write_text("file,label\ngood0.png,cat\ngood0.png,dog\n")
    with pytest.raises(DataError, match="'dog' here, but 'cat'"):
        look(root, drop_unlabelled=True)


def test_fault_24_class_numbers_with_gaps_become_contiguous_and_keep_their_names(tmp_path):
    found = look(labelled(tmp_path / "in", "good0.png,7\ngood1.png,100\ngood2.png,7\ngood3.png,100\n"))
    assert found.names == ("7", "100") and found.labels.tolist() == [0, 1, 0, 1]
    packed = io.BytesIO()
    np.savez(packed, x=np.stack([noise(k) for k in range(4)]), y=np.array([7, 100, 7, -1]))
    (tmp_path / "a.npz").write_bytes(packed.getvalue())
    found = look(tmp_path / "a.npz")
    assert found.names == ("7", "100") and found.labels.tolist() == [0, 1, 0] and "image 3" in reasons(found)


def test_fault_24_a_class_with_one_image_is_pointed_out(tmp_path):
    found = look(labelled(tmp_path / "in", "good0.png,cat\ngood1.png,cat\ngood2.png,cat\ngood3.png,dog\n"))
    assert any(line.startswith("advice: 1 class with a single image (dog)") for line in summary(found))


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffile;label\r\ngood0.png;cat\r\ngood1.png;dog\r\ngood2.png;cat\r\ngood3.png;dog\r\n",
        'label,"file",note\ncat,good0.png,"two\nlines"\ndog,good1.png,\ncat,good2.png,"a, b"\ndog,good3.png,\n',
        "good0.png\tcat\ngood1.png\tdog\ngood2.png\tcat\ngood3.png\tdog\ngood3.png\tdog\n",
    ],
    ids=["byte order mark and semicolons", "quotes and line breaks", "tabs and a row twice"],
)
def test_fault_24_label_tables_of_many_kinds_are_read_and_their_reading_is_told(tmp_path, text):
    found = look(labelled(tmp_path / "in", text))
    assert found.names == ("cat", "dog") and found.labels.tolist() == [0, 1, 0, 1]
    assert any(n.startswith("labels from labels.csv (") for n in found.report["notes"])


NO_TABLE = {
    "one column": ("good0.png\ngood1.png\n", "has one column, beginning with 'good0.png'. Expected file and label in each line, with a"),
    "blanks between": ("file label\ngood0.png a\n", "has one column, beginning with 'file label'"),
    "a huge cell": ("file,label\ngood0.png," + "x" * 200_000, "is no table in line 2: field larger than field limit"),
    "bytes": ("file,label\ngood0.png,c\0at\n", "is not text: it holds bytes of 0"),
    "other columns": ("id_number,height\n1,2\n", "is not among the images"),
    "other wide columns": ("id_number,height," + "y" * 500 + "\n1,2,3\n", "has the columns id_number, height, yyyy"),
}


@pytest.mark.parametrize("kind", NO_TABLE)
def test_fault_24_a_label_file_that_is_no_table_is_told_in_a_few_words(tmp_path, kind):
    text, words = NO_TABLE[kind]
    with pytest.raises(DataError) as caught:
        look(labelled(tmp_path / "in", text))
    assert words in str(caught.value) and str(caught.value).startswith("labels.csv ") and len(str(caught.value)) < 400


def test_fault_24_long_names_in_a_label_file_are_shortened_where_they_are_told(tmp_path):
    with pytest.raises(DataError) as caught:
        look(labelled(tmp_path / "in", "file,label\n" + "z" * 5000 + ".png,a\ngood0.png," + "y" * 5000 + "\ngood0.png,b\n"))
    told = str(caught.value)
    assert "line 2: zzz" in told and "zzz... is not among the images" in told and "but 'yyyy" in told and len(told) < 900


def test_fault_24_capital_letters_of_another_system_are_no_hindrance(tmp_path):
    found = look(labelled(tmp_path / "in", "File,Label\nGOOD0.PNG,a\nx\\Good1.png,b\ngood2.png,a\ngood3.PNG,b\n"))
    assert found.names == ("a", "b") and found.labels.tolist() == [0, 1, 0, 1]
