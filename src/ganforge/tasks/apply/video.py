"""A video through an applier, frame by frame: every frame keeps its moment; sound, subtitles and chapters are copied as they are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.checkpoint import flush_directory
from ...core.errors import DataError, StorageError, UsageError
from ...data.opening import MAX_PIXELS
from .applier import Applier
from .pictures import Picture
from .process import process
from .provenance import Facts, comment
from .tiles import Array

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
CODECS = {".webm": ("libvpx-vp9", {"crf": "20", "b": "0"})}
CODEC = ("libx264", {"crf": "16", "preset": "medium"})
"""H.264 at a quality at which its own loss is not seen."""
COPIED = ("audio", "subtitle")
MINE = ("language", "title")
"""What stays true of a video stream when its frames are new, of all that is said of it."""
SD = (1280, 576)
"""Width below which, and height up to which, players take colours that say nothing of themselves for BT.601; beyond, for BT.709."""
UNKNOWN, BT601 = 2, 6
"""Of AVColorSpace: unspecified, and SMPTE 170M, the matrix of BT.601."""


@dataclass
class Made:
    """What became of a video."""

    before: tuple[int, int]
    after: tuple[int, int] = (0, 0)
    frames: int = 0
    tiles: int = 0
    """Of one frame."""
    notes: list[str] = field(default_factory=list)


def apply(applier: Applier, source: Path, target: Path, facts: Facts, tile: int | str = "auto") -> Made:
    """Write the video that the applier makes of another: same frames at the same times, same sound, subtitles and chapters, and what is
    said of each of them; whole or not at all.

    Raises UsageError without PyAV, DataError for what is no video or is cut off, StorageError where the disk refuses.
    """
    try:
        import av
    except ImportError:
        raise UsageError('videos need PyAV: pip install "ganforge[image]"') from None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.tmp")
        aside.touch()
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}. Is the folder read-only?") from error
    try:
        with av.open(str(source)) as old, av.open(str(aside), "w", format=FORMATS[target.suffix.lower()]) as new:
            made = _translated(applier, old, new, target.suffix.lower(), facts, tile)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, target)
        flush_directory(target.parent)
    except av.error.FFmpegError as error:
        if error.errno and error.errno in (28, 13, 30):
            raise StorageError(f"cannot write {target}: {error.strerror}.") from error
        raise DataError(f"the video cannot be read or written: {error.strerror or error}.") from error
    finally:
        aside.unlink(missing_ok=True)
    return made


def _translated(applier: Applier, old: Any, new: Any, ending: str, facts: Facts, tile: int | str) -> Made:
    if not old.streams.video:
        raise DataError("there is no video in it, only sound or nothing.")
    main = old.streams.video[0]
    if main.width * main.height > MAX_PIXELS:
        raise DataError(f"its frames of {main.width}x{main.height} are over {MAX_PIXELS // 10**6} million pixels.")
    made = Made((main.width, main.height))
    if main.format and main.format.components[0].bits > 8:
        made.notes.append("more than 8 bits a colour became 8")
    kept = [stream for stream in old.streams if stream.type in COPIED]
    if len(kept) + 1 < len(old.streams):
        made.notes.append(f"streams left out, being neither sound nor subtitles: {len(old.streams) - len(kept) - 1}")
    said = {key.lower(): key for key in old.metadata}.get("comment", "")  # Matroska's is in capitals
    new.metadata.update({key: value for key, value in old.metadata.items() if key != said})
    new.metadata["comment"] = "\n".join([*([old.metadata[said]] if said else []), comment(facts)])
    out, waiting = None, list[Any]()  # what comes before the first frame waits until it is known how large that becomes
    copies: dict[int, Any] = {}
    for packet in old.demux([main, *kept]):
        if packet.stream.index != main.index:
            waiting += [packet] if packet.size else []  # an empty one ends the stream
        for frame in packet.decode() if packet.stream.index == main.index else []:
            pixels = _frame(applier, frame, made, tile)
            if out is None:
                out, copies = _streams(old, new, kept, pixels, ending, made)
            new.mux(out.encode(_timed(pixels, frame, out)))
            made.frames += 1
        while out and waiting:
            copy = waiting.pop(0)
            copy.stream = copies[copy.stream.index]
            new.mux(copy)
    if out is None:
        raise DataError("it holds no frame that can be decoded.")
    new.mux(out.encode())
    if made.frames < main.frames:
        made.notes.append(f"the file announces {main.frames} frames, and holds {made.frames} that can be shown")
    return made


def _frame(applier: Applier, frame: Any, made: Made, tile: int | str) -> Array:
    """(h, w, 3) uint8 of what the applier makes of a frame, upright."""
    pixels = frame.to_ndarray(format="rgb24")
    if turns := round(frame.rotation / 90) % 4:
        pixels = np.ascontiguousarray(np.rot90(pixels, turns))
    done = process(applier, Picture(pixels), tile=tile)
    if made.frames and made.after != done.picture.size:
        raise DataError("its frames change their size half way, which files of this kind cannot hold.")
    made.before, made.after, made.tiles = (pixels.shape[1], pixels.shape[0]), done.picture.size, done.tiles
    made.notes += [note for note in done.notes if note not in made.notes]
    colour = done.picture.colour
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _streams(source: Any, new: Any, kept: list[Any], first: Array, ending: str, made: Made) -> tuple[Any, dict[int, Any]]:
    """The new video stream, for frames like the first; and those that are copied, by the index of what they are copied from."""
    import av

    codec, options = CODECS.get(ending, CODEC)
    if codec not in av.codecs_available:
        raise UsageError(f"this PyAV cannot write {codec}, which {ending} files are made with: pip install av")
    main, (height, width) = source.streams.video[0], first.shape[:2]
    stream = new.add_stream(codec, rate=main.average_rate or 25, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    if width % 2 or height % 2:
        stream.pix_fmt = "yuv444p"
        made.notes.append(f"{width}x{height} is an odd size, kept with full chroma (4:4:4), which some players do not show")
    context, old = stream.codec_context, main.codec_context
    stream.time_base = context.time_base = main.time_base
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(context, name, getattr(old, name))
    if old.colorspace == UNKNOWN and _is_sd(main.width, main.height) and not _is_sd(width, height):
        context.colorspace = BT601
    if old.sample_aspect_ratio:
        context.sample_aspect_ratio = old.sample_aspect_ratio
    try:
        copies = {one.index: new.add_stream_from_template(one) for one in kept}
        _described(source, new, [(main, stream), *((one, copies[one.index]) for one in kept)], ending, made)
        new.start_encoding()
    except (ValueError, av.error.FFmpegError) as error:
        names = ", ".join(one.codec_context.name for one in kept)
        raise UsageError(f"{ending} cannot hold these streams ({codec}, {names}): {error}. Use a name that ends in .mkv.") from error
    return stream, copies


def _is_sd(width: int, height: int) -> bool:
    return width < SD[0] and height <= SD[1]


def _described(source: Any, new: Any, streams: list[tuple[Any, Any]], ending: str, made: Made) -> None:
    """Languages, titles and which track plays first, as they were, and the chapters; what cannot be kept is noted."""
    for old, copy in streams:
        said = dict(old.metadata)
        if "name" in said:  # as MP4's title of a track is read, which is written as its title
            said.setdefault("title", said["name"])
        copy.metadata.update(said if old.type in COPIED else {key: said[key] for key in MINE if key in said})
        if (kind := getattr(old, "disposition", None)) is not None:  # older ones of PyAV lack it, or take nothing but the number
            copy.disposition = kind.value
    reads = hasattr(source, "chapters") and hasattr(new, "set_chapters")  # older ones of PyAV lack one of them
    chapters = source.chapters() if reads else []
    if ending == ".avi" and (chapters or any("language" in old.metadata for old, _ in streams)):
        made.notes.append(".avi holds neither chapters nor languages: they are lost, and .mkv keeps them")
    elif chapters:
        new.set_chapters(chapters)
    elif not reads:
        made.notes.append("chapters are lost, if there were any: they need a newer PyAV, pip install --upgrade av")


def _timed(pixels: Array, frame: Any, out: Any) -> Any:
    """A frame of these pixels at the moment of another, in its kind of colour."""
    import av

    drawn = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    new = drawn.reformat(format=out.pix_fmt, dst_colorspace=frame.colorspace, dst_color_range=frame.color_range or None)
    new.pts, new.time_base = frame.pts, frame.time_base
    return new
