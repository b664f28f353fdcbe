"""Videos: every frame at its moment, sound and subtitles as they were, any size; and what is told where that is not possible."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from ganforge.core.errors import DataError, UsageError
from ganforge.tasks.apply import files, video
from ganforge.tasks.apply.work import Work, work

from .apply_toys import same, sees

av = pytest.importorskip("av")
FACTS = {"recipe": "restore", "model_sha256": "ab" * 32}
UNEVEN = (0, 100, 150, 400, 410, 700, 900, 1000)
"""Moments of frames, in milliseconds."""


def clip(path, width=64, height=48, sound=True, times=UNEVEN, subtitles=False, codec="libx264"):
    """A short video of a bright square that moves over a soft ground."""
    with av.open(str(path), "w") as new:
        stream = new.add_stream(codec, rate=25, options={"crf": "4"})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        tones = new.add_stream("aac", rate=8000) if sound else None
        for k, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(scene(k, width, height), format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            new.mux(stream.encode(frame))
        if tones:
            for k in range(8):
                wave = np.sin(np.arange(1024, dtype=np.float32) / 9)[None]
                part = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = 8000, 1024 * k, Fraction(1, 8000)
                new.mux(tones.encode(part))
            new.mux(tones.encode())
        new.mux(stream.encode())
    return path


def scene(k, width, height):
    down, across = np.mgrid[:height, :width]
    ground = np.stack([down * 2 % 200, across * 2 % 200, 0 * down + 90], 2).astype(np.uint8)
    ground[8:24, 4 * k : 4 * k + 16] = (250, 240, 30)
    return ground


def frames(path):
    with av.open(str(path)) as old:
        return [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in old.decode(video=0)]


def packets(path, kind):
    with av.open(str(path)) as old:
        return [(bytes(p), float(p.pts * p.time_base)) for p in old.demux(**{kind: 0}) if p.size]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_frames_keep_their_moments_and_sound_is_copied_bit_for_bit(tmp_path, ending):
    old, new = clip(tmp_path / f"a{ending}"), tmp_path / "deep" / f"b{ending}"
    made = video.apply(same(), old, new, FACTS)
    assert (made.before, made.after, made.frames, made.tiles, made.notes) == ((64, 48), (64, 48), len(UNEVEN), 1, [])
    before, after = frames(old), frames(new)
    assert [at for at, _ in after] == pytest.approx([at for at, _ in before], abs=2e-3) and len(after) == len(UNEVEN)
    for (_, x), (_, y) in zip(before, after, strict=True):
        assert np.abs(x.astype(int) - y).mean() < 3, "the picture of that moment, in its colours"
    assert [b for b, _ in packets(new, "audio")] == [b for b, _ in packets(old, "audio")]
    assert [t for _, t in packets(new, "audio")] == pytest.approx([t for _, t in packets(old, "audio")], abs=2e-3)
    with av.open(str(new)) as container:
        assert "compositeWithTrainedAlgorithmicMedia" in str({k.lower(): v for k, v in container.metadata.items()})
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [new.name], "nothing is left beside it"


def test_frames_are_what_the_network_makes_of_them(tmp_path):
    class Negative(torch.nn.Module):
        def forward(self, x):
            return -x

    applier = same()
    applier.network = Negative()
    old, new = clip(tmp_path / "a.mp4", sound=False), tmp_path / "b.mp4"
    video.apply(applier, old, new, FACTS)
    for (_, x), (_, y) in zip(frames(old), frames(new), strict=True):
        assert np.abs(255 - x.astype(int) - y).mean() < 4


@pytest.mark.parametrize(("width", "height", "scale"), [(33, 47, 1), (33, 48, 2), (64, 47, 3)])
def test_odd_sizes_are_kept_and_told(tmp_path, width, height, scale):
    old, new = clip(tmp_path / "a.mp4", width, height, sound=False, times=UNEVEN[:3]), tmp_path / "b.mp4"
    made = video.apply(sees(scale), old, new, FACTS)
    assert made.after == (width * scale, height * scale) and frames(new)[0][1].shape[:2] == (height * scale, width * scale)
    assert any("odd size" in note for note in made.notes) == bool(width * scale % 2 or height * scale % 2)


def test_subtitles_are_copied(tmp_path):
    plain, old, new = clip(tmp_path / "plain.mp4"), tmp_path / "a.mkv", tmp_path / "b.mkv"
    with av.open(str(plain)) as source, av.open(str(old), "w") as target:
        copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
        words = target.add_mux_stream("subrip")
        words.time_base = Fraction(1, 1000)
        target.start_encoding()
        for at, text in ((100, b"one"), (600, b"two")):
            packet = av.Packet(text)
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = words, Fraction(1, 1000), at, at, 300
            target.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    made = video.apply(same(), old, new, FACTS)
    assert not made.notes and made.frames == len(UNEVEN)
    assert packets(new, "subtitles") == packets(old, "subtitles") != []


def described(path, target):
    """A copy whose streams have titles and languages, its sound being a commentary; with two chapters."""
    with av.open(str(path)) as source, av.open(str(target), "w") as new:
        picture, sound = (new.add_stream_from_template(stream) for stream in (source.streams.video[0], source.streams.audio[0]))
        picture.metadata.update({"title": "Bild", "language": "fra"})
        sound.metadata.update({"title": "Kommentar", "language": "deu"})
        sound.disposition = av.stream.Disposition.comment
        times = ((0, 400, "eins"), (400, 1000, "zwei"))
        new.set_chapters(
            [
                {"id": k, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for k, (start, end, title) in enumerate(times, 1)
            ]
        )
        new.start_encoding()
        for packet in source.demux(source.streams.video[0], source.streams.audio[0]):
            if packet.size:
                packet.stream = picture if packet.stream.type == "video" else sound
                new.mux(packet)
    return target


def told(path):
    """Of a video file: titles and languages of its streams, the dispositions of sound, and its chapters in seconds."""
    with av.open(str(path)) as old:
        streams = [(s.metadata.get("title") or s.metadata.get("name"), s.metadata.get("language")) for s in old.streams if s.type != "data"]
        chapters = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"].get("title")) for c in old.chapters()
        ]
        return streams, int(old.streams.audio[0].disposition), chapters


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_languages_titles_dispositions_and_chapters_are_kept(tmp_path, ending):
    old, new = described(clip(tmp_path / "plain.mp4"), tmp_path / f"a{ending}"), tmp_path / f"b{ending}"
    video.apply(same(), old, new, FACTS)
    streams, kind, chapters = told(new)
    assert (streams, kind, chapters) == told(old)
    assert ("Kommentar", "deu") in streams and kind & av.stream.Disposition.comment and [c[2] for c in chapters] == ["eins", "zwei"]


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_the_comment_of_a_film_is_kept_before_that_of_its_making(tmp_path, ending):
    old, new = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    with av.open(str(clip(tmp_path / "plain.mp4", sound=False))) as source, av.open(str(old), "w") as target:
        target.metadata["comment"] = "our wedding"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    video.apply(same(), old, new, FACTS)
    with av.open(str(new)) as container:
        (said,) = (value for key, value in container.metadata.items() if key.lower() == "comment")
    assert said.startswith("our wedding\n{") and "compositeWithTrainedAlgorithmicMedia" in said


@pytest.mark.parametrize(("scale", "tag"), [(1, 2), (2, 6)])
def test_an_enlarged_film_without_a_colour_tag_says_which_colours_its_own_were(tmp_path, scale, tag):
    """For players take small films for BT.601 (6), and large ones for BT.709."""
    old, new = clip(tmp_path / "a.mp4", 64, 320, sound=False, times=UNEVEN[:2]), tmp_path / "b.mp4"
    applier = same(scale=scale)
    applier.network = torch.nn.Upsample(scale_factor=scale)
    video.apply(applier, old, new, FACTS)
    with av.open(str(old)) as before, av.open(str(new)) as after:
        assert before.streams.video[0].codec_context.colorspace == 2, "unspecified"
        assert after.streams.video[0].codec_context.colorspace == tag
    assert np.abs(frames(old)[0][1].repeat(scale, 0).repeat(scale, 1).astype(int) - frames(new)[0][1]).mean() < 3


def test_what_a_container_cannot_say_is_told_to_be_lost(tmp_path):
    old = described(clip(tmp_path / "plain.mp4", codec="mpeg4"), tmp_path / "a.mkv")
    made = video.apply(same(), old, tmp_path / "b.avi", FACTS)
    assert any("neither chapters nor languages" in note for note in made.notes)


def test_what_is_no_video_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    body = clip(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(body[: len(body) // 2])
    with av.open(str(tmp_path / "sound.mp4"), "w") as new:
        tones = new.add_stream("aac", rate=8000)
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        part.sample_rate, part.pts = 8000, 0
        new.mux(tones.encode(part))
        new.mux(tones.encode())
    for name in ("text.mp4", "cut.mp4", "sound.mp4"):
        with pytest.raises(DataError):
            video.apply(same(), tmp_path / name, tmp_path / "out" / "b.mp4", FACTS)
        assert not [*(tmp_path / "out").iterdir()], name


def test_streams_that_a_container_cannot_hold_are_told_with_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"\.webm cannot hold these streams .*aac.* Use a name that ends in \.mkv"):
        video.apply(same(), clip(tmp_path / "a.mp4"), tmp_path / "b.webm", FACTS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_a_video_among_pictures_gets_its_line_and_a_fault_does_not_stop_the_rest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    clip(tmp_path / "in" / "b.mp4")
    (tmp_path / "in" / "a.mp4").write_text("no video")
    found, _ = files.jobs(["in"], "out")
    one, other = work(found, Work(sees(2), FACTS))
    assert one.status == "failed" and "cannot be read" in one.error
    assert other.status == "ok" and "64x48 -> 128x96  8 frames, 1 tile  " in other.line() and other.told()["frames"] == 8
    (alone,) = work(files.jobs(["in/b.mp4"], "-")[0], Work(same(), FACTS))
    assert alone.status == "failed" and "standard output" in alone.error


def test_without_pyav_it_is_said_what_to_install(tmp_path, monkeypatch):
    import sys

    old = clip(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r'pip install "ganforge\[image\]"'):
        video.apply(same(), old, tmp_path / "b.mp4", FACTS)
