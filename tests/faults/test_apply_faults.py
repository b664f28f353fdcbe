"""Faults while many files are worked on: each is told, the rest is done, nothing is left half written."""

import errno
import os

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from ganforge.core import checkpoint
from ganforge.core.errors import UsageError
from ganforge.tasks.apply import files, tiles
from ganforge.tasks.apply.work import Work, work

from ..unit.apply_toys import Short, noise, same
from .make import encoded, fill, png, refuses


def outcomes(where, out, applier=None, **options):
    found, _ = files.jobs([str(where)], str(out))
    return {o.job.source.name: o for o in work(found, Work(applier or same(), {}, **options))}


def test_a_truncated_file_among_good_ones_is_told_and_the_rest_is_done(tmp_path):
    photos = fill(tmp_path / "in", 3)
    body = encoded(noise(9, 64, 64), "JPEG")
    (photos / "cut.jpg").write_bytes(body[: len(body) // 2])
    (photos / "empty.png").write_bytes(b"")
    (photos / "page.png").write_bytes(b"<html>")
    (photos / "bomb.png").write_bytes(png(4100, 4100, 8, 2, bytes(4100 * (1 + 3 * 4100))))
    whole = encoded(noise(9, 64, 64))
    (photos / "flipped.png").write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    found = outcomes(photos, tmp_path / "out")
    said = {name: o.error for name, o in found.items() if o.status == "failed"}
    assert said.keys() == {"cut.jpg", "empty.png", "page.png", "bomb.png", "flipped.png"}
    for name, why in (("cut", "truncated"), ("empty", "0 bytes"), ("page", "web page"), ("bomb", "bomb"), ("flipped", "checksum")):
        assert why in next(text for key, text in said.items() if key.startswith(name)), said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good0.png", "good1.png", "good2.png"]


def test_an_output_that_cannot_be_written_is_told_and_the_next_is_tried(tmp_path, monkeypatch):
    photos = fill(tmp_path / "in", 3)
    real = checkpoint.write_flushed

    def full(path, data):
        if "good1" in path.name:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    monkeypatch.setattr(checkpoint, "write_flushed", full)
    found = outcomes(photos, tmp_path / "out")
    assert [found[f"good{k}.png"].status for k in range(3)] == ["ok", "failed", "ok"]
    assert "cannot write" in found["good1.png"].error and "No space left" in found["good1.png"].error
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good0.png", "good2.png"], "no half file"


def test_a_temporary_folder_without_room_fails_its_picture_alone(tmp_path, monkeypatch):
    photos = fill(tmp_path / "in", 2)
    (photos / "good0.png").write_bytes(encoded(noise(5, 200, 200)))
    monkeypatch.setattr(tiles, "MAPPED", 100_000)
    monkeypatch.setattr(os, "posix_fallocate", refuses(errno.ENOSPC), raising=False)
    found = outcomes(photos, tmp_path / "out")
    assert [o.status for o in found.values()] == ["failed", "ok"] and "Set TMPDIR to a folder" in found["good0.png"].error


def test_what_a_format_cannot_hold_is_not_put_down_to_the_network(tmp_path):
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: bytes(70_000)}
    (tmp_path / "in" / "a.png").write_bytes(encoded(noise(0, 8, 8), exif=exif.tobytes()))
    found, _ = files.jobs([str(tmp_path / "in" / "a.png")], str(tmp_path / "a.jpg"))
    (outcome,) = work(found, Work(same(), {}))
    assert outcome.error == "it cannot be written as JPEG: EXIF data is too long. Use a name that ends in .png."
    assert not (tmp_path / "a.jpg").exists()


def test_a_folder_that_is_a_file_is_told(tmp_path):
    fill(tmp_path / "in" / "inner", 1)
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UsageError, match="file is a file, and the results go into a folder"):
        outcomes(tmp_path / "in", tmp_path / "file")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "inner").write_text("a file")
    found = outcomes(tmp_path / "in", tmp_path / "out")
    assert found["good0.png"].status == "failed" and "cannot write" in found["good0.png"].error


def test_an_input_that_is_overwritten_is_old_or_new_but_never_half(tmp_path, monkeypatch):
    photos = fill(tmp_path / "in", 1)
    before = (photos / "good0.png").read_bytes()

    def cut(path, data):
        path.write_bytes(data[:10])
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(checkpoint, "write_flushed", cut)
    found, _ = files.jobs([str(photos)], str(photos))
    wanted, _ = files.planned(found, overwrite=True)
    (outcome,) = work(wanted, Work(same(), {}))
    assert outcome.status == "failed" and (photos / "good0.png").read_bytes() == before
    assert [p.name for p in photos.iterdir()] == ["good0.png"]


def test_memory_that_runs_out_on_one_picture_is_got_by_with_and_told(tmp_path):
    photos = fill(tmp_path / "in", 2)
    (photos / "large.png").write_bytes(encoded(noise(5, 200, 200)))
    applier = same(reach=10)
    applier.network = Short(100 * 100, torch.nn.Identity())
    found = outcomes(photos, tmp_path / "out", applier)
    assert [found[name].status for name in ("good0.png", "good1.png", "large.png")] == ["ok", "ok", "ok"]
    assert any("memory was short" in note for note in found["large.png"].notes)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "large.png")), noise(5, 200, 200))


def test_a_network_that_fails_or_gives_no_numbers_writes_nothing(tmp_path):
    photos = fill(tmp_path / "in", 2)

    class Odd(torch.nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 2:  # the first is the look at how much memory it takes
                return x * float("nan")
            if self.calls == 3:
                raise RuntimeError("shapes cannot be multiplied")
            return x

    applier = same()
    applier.network = Odd()
    found = outcomes(photos, tmp_path / "out", applier)
    assert "not finite" in found["good0.png"].error and "the network failed on it: shapes" in found["good1.png"].error
    assert not (tmp_path / "out").exists()


def test_a_file_that_vanishes_before_its_turn_is_told(tmp_path):
    photos = fill(tmp_path / "in", 2)
    found, _ = files.jobs([str(photos)], str(tmp_path / "out"))
    (photos / "good0.png").unlink()
    one, other = work(found, Work(same(), {}))
    assert one.status == "failed" and "No such file" in one.error and other.status == "ok"


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "mkfifo"), reason="links and pipes of Unix")
def test_links_in_circles_and_odd_names_are_survived(tmp_path):
    photos = fill(tmp_path / "in", 1)
    (photos / "loop").symlink_to(photos)
    odd = photos / os.fsdecode(b"bad\xff\nname.png")
    odd.write_bytes(encoded(noise(0, 8, 8)))
    found = outcomes(photos, tmp_path / "out")
    assert [o.status for o in found.values()] == ["ok", "ok"]
    assert "\n" not in found[odd.name].line() and (tmp_path / "out" / odd.name).exists()
