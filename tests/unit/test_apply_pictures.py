"""Pictures from files and back: every mode, turn, profile and depth; and the marks in every format."""

import io
import json

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from ganforge.core.errors import StorageError
from ganforge.data.opening import Unusable
from ganforge.tasks.apply import deep, provenance
from ganforge.tasks.apply import save as saving
from ganforge.tasks.apply.alpha import bled, enlarged
from ganforge.tasks.apply.pictures import Picture, decoded, of_image, to_image
from ganforge.tasks.apply.process import process
from ganforge.tasks.apply.save import encoded

from ..faults.make import deep_png, deep_tiff, png
from ..faults.make import encoded as file_of
from .apply_toys import noise, same

FACTS = {"recipe": "restore", "model_sha256": "ab" * 32}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def made(body, kind="PNG", applier=None):
    """What comes of a file that a network leaves as it is."""
    content, notes = encoded(process(applier or same(), decoded(body)).picture, kind, FACTS)
    return Image.open(io.BytesIO(content)), notes


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("I;16", "I;16")],
)
def test_every_mode_comes_out_as_it_went_in_but_for_palettes(mode, becomes):
    image = (
        Image.fromarray(noise(0, 9, 12, 1, np.uint16)[..., 0])
        if mode == "I;16"
        else Image.fromarray(noise(0, 9, 12, 3 if mode == "P" else 4)).convert(mode)
    )
    out, notes = made(file_of(image))
    assert (out.mode, out.size, notes) == (becomes, (12, 9), ())
    wanted = image.convert(becomes) if mode in ("1", "P") else image
    if mode in ("LA", "RGBA"):
        seen = np.asarray(image)[..., -1] > 0
        assert np.array_equal(np.asarray(out)[seen], np.asarray(wanted)[seen])
        assert np.array_equal(np.asarray(out)[..., -1], np.asarray(image)[..., -1])
    else:
        assert np.array_equal(np.asarray(out), np.asarray(wanted))


def test_a_palette_with_transparency_keeps_it():
    image = Image.fromarray(noise(0, 8, 8)).quantize(8)
    image.info["transparency"] = 3
    out, _ = made(file_of(image, transparency=3))
    assert out.mode == "RGBA" and np.array_equal(np.asarray(out)[..., 3] == 0, np.asarray(image) == 3)


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_sixteen_bits_stay_sixteen_bits_in_grey_and_colour_with_and_without_alpha(channels, colour):
    pytest.importorskip("cv2")
    samples = noise(1, 7, 11, channels, np.uint16)
    if channels in (2, 4):
        samples[..., -1] |= 1  # nothing wholly transparent
    picture = process(same(), decoded(deep_png(samples, colour))).picture
    assert picture.colour.dtype == np.uint16
    content, notes = encoded(picture, "PNG", FACTS)
    assert not notes and content[24] == 16 and content[25] == colour
    again = decoded(content)
    planes = again.colour if again.alpha is None else np.concatenate((again.colour, again.alpha[..., None]), 2)
    assert np.array_equal(planes, samples)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert json.loads(image.text["ganforge"])["recipe"] == "restore"


def test_sixteen_bits_of_colour_without_opencv_are_read_as_eight_and_told(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    picture = decoded(deep_png(noise(1, 7, 11, 3, np.uint16), 2))
    assert picture.colour.dtype == np.uint8 and 'pip install "ganforge[image]"' in picture.notes[0]


def test_formats_of_eight_bits_get_eight_and_say_so():
    body = file_of(Image.fromarray(noise(0, 9, 12, 1, np.uint16)[..., 0]))
    out, notes = made(body, "JPEG")
    assert out.mode == "L" and "16 bits became 8" in notes[0]
    out, notes = made(body, "TIFF")
    assert out.mode == "I;16" and not notes


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_come_upright_and_their_turn_is_reset(turn, kind):
    image = Image.fromarray(np.kron(noise(0, 3, 5), np.ones((16, 16, 1), np.uint8)))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Model] = turn, "Box"
    best = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    body = file_of(image, kind, exif=exif.tobytes(), **best)
    out, _ = made(body, "PNG")
    assert out.size == ((80, 48) if turn < 5 else (48, 80))
    kept = out.getexif()
    assert kept.get(ExifTags.Base.Orientation, 1) == 1 and kept[ExifTags.Base.Model] == "Box"
    ways = [None, 0, 3, 1, 5, 4, 6, 2]  # EXIF's orientations as PIL names turns: FLIP_LEFT_RIGHT, ROTATE_180, ...
    wanted = image if turn == 1 else image.transpose([*Image.Transpose][ways[turn - 1]])
    assert np.abs(np.asarray(out).astype(int) - np.asarray(wanted)).mean() < 3


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_colour_is_turned_as_pil_turns(turn):
    samples = noise(1, 6, 9, 3, np.uint16)
    image = Image.fromarray((samples >> 8).astype(np.uint8))
    image.getexif()[ExifTags.Base.Orientation] = turn
    from PIL import ImageOps

    assert np.array_equal(deep.upright(samples, turn) >> 8, np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_tiffs_come_upright(turn, channels):
    pytest.importorskip("cv2")
    samples = noise(1, 6, 9, channels, np.uint16) | 1
    with Image.open(io.BytesIO(deep_tiff(samples, turn))) as image:
        wanted = np.asarray(image)  # Pillow's eight bits of it, upright
    picture = decoded(deep_tiff(samples, turn))
    assert picture.colour.dtype == np.uint16 and not picture.notes
    assert np.array_equal(picture.colour >> 8, wanted[..., :3]) and picture.size == ((9, 6) if turn < 5 else (6, 9))
    assert channels == 3 or np.array_equal(picture.alpha >> 8, wanted[..., 3])


def test_deep_colour_that_opencv_cannot_read_is_not_put_down_to_its_absence(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    assert decoded(deep_png(noise(1, 7, 11, 3, np.uint16), 2)).notes == ("16-bit colour was read as 8 bits: OpenCV cannot read this kind",)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_density_is_kept_where_it_is_said_beside_the_exif(kind, source):
    out, _ = made(file_of(noise(0, 8, 8), source, dpi=(300, 150)), kind)
    said = out.info["dpi"] if kind != "WEBP" else [out.getexif()[tag] for tag in (0x011A, 0x011B)]
    assert said == pytest.approx((300, 150), abs=0.1) and (kind != "WEBP" or out.getexif()[0x0128] == 2)
    assert made(file_of(noise(0, 8, 8), "PNG"), kind)[0].info.get("dpi", (1, 1)) == (1, 1), "which a TIFF without one is read as"
    assert to_image(decoded(file_of(noise(0, 8, 8), source, dpi=(300, 150)))).info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_the_density_of_deep_colour_is_kept_and_of_a_camera_without_one_none_is_made_up():
    content, _ = encoded(Picture(noise(0, 8, 8, 3, np.uint16), dpi=(300, 150)), "PNG", FACTS)
    assert Image.open(io.BytesIO(content)).info["dpi"] == pytest.approx((300, 150), abs=0.1)
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Box"
    body = file_of(noise(0, 8, 8), "JPEG", exif=exif.tobytes())
    assert Image.open(io.BytesIO(body)).info["dpi"] == (72, 72), "what Pillow takes it for"
    assert "dpi" not in made(body)[0].info


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP", "PNG"])
def test_xmp_that_is_left_out_is_told(kind):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    options = {"PNG": {"pnginfo": info}, "TIFF": {"tiffinfo": {700: XMP}}}.get(kind, {"xmp": XMP})
    assert [note for note in decoded(file_of(noise(0, 8, 8), kind, **options)).notes if "its XMP was left out" in note]
    assert not decoded(file_of(noise(0, 8, 8), kind)).notes


def test_iptc_that_is_left_out_is_told():
    entries = b"\x1c\x02\x78\x00\x03sea"
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(entries).to_bytes(4) + entries
    body = file_of(noise(0, 8, 8), "JPEG")
    body = body[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2) + block + body[2:]
    for one in (body, file_of(noise(0, 8, 8), "TIFF", tiffinfo={0x83BB: entries})):
        assert decoded(one).notes == ("its IPTC entries were left out",)


def test_further_pictures_of_a_photograph_are_told_to_be_lost():
    photo, gains = (Image.fromarray(noise(k, 16, 16)) for k in range(2))
    body = file_of(photo, "MPO", save_all=True, append_images=[gains])
    assert Image.open(io.BytesIO(body)).format == "MPO"
    assert decoded(body).notes == ("its further pictures, such as a gain map or a second view, were left out",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_colour_profile_is_kept_in_every_format(kind):
    out, _ = made(file_of(noise(0, 8, 8), "PNG", icc_profile=SRGB), kind)
    assert out.info["icc_profile"] == SRGB


def test_the_profile_of_deep_colour_is_kept():
    content, _ = encoded(Picture(noise(0, 8, 8, 3, np.uint16), icc=SRGB), "PNG", FACTS)
    assert Image.open(io.BytesIO(content)).info["icc_profile"] == SRGB


def test_a_profile_does_not_follow_where_the_channels_change():
    grey = decoded(file_of(noise(0, 8, 8, 1)[..., 0]))
    grey = Picture(grey.colour, icc=SRGB)
    done = process(same(keeps_grey=False), grey)
    assert done.picture.colour.shape[2] == 3 and done.picture.icc is None and "profile was left out" in done.notes[-1]
    assert process(same(), grey).picture.icc == SRGB


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_becomes_rgb_with_a_note(adobe):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    body = file_of(image, "JPEG" if adobe else "TIFF")
    picture = decoded(body)
    assert picture.notes == ("CMYK became RGB",), "it had no profile to lose"
    assert picture.colour.reshape(-1, 3).mean(0).round()[0] > 200 and picture.colour[..., 1:].mean() < 60, "red"


def profile(space):
    """The beginning of a colour profile for colours of this kind."""
    return SRGB[:16] + space + SRGB[20:]


@pytest.mark.parametrize(
    ("mode", "space", "kept"),
    [("LAB", b"Lab ", False), ("CMYK", b"CMYK", False), ("RGB", b"RGB ", True), ("RGB", b"GRAY", False), ("L", b"GRAY", True)],
)
def test_a_profile_is_kept_only_where_it_is_of_the_pictures_channels(mode, space, kept):
    picture = decoded(file_of(Image.new(mode, (8, 8)), "TIFF", icc_profile=profile(space)))
    assert (picture.icc == profile(space)) == kept and any("profile was left out" in note for note in picture.notes) != kept
    assert kept or picture.icc is None


@pytest.mark.parametrize(("mode", "why"), [("F", "floating point"), ("I", "beyond 65,535")])
def test_samples_without_a_known_white_are_refused(mode, why):
    image = Image.fromarray(np.full((4, 4), 70_000, np.int32 if mode == "I" else np.float32))
    with pytest.raises(Unusable, match=why):
        decoded(file_of(image, "TIFF"))


def test_small_numbers_in_wide_samples_are_sixteen_bits():
    assert decoded(file_of(Image.fromarray(np.full((4, 4), 65_535, np.int32)), "TIFF")).colour.dtype == np.uint16


def test_a_decompression_bomb_is_refused():
    with pytest.raises(Unusable, match="bomb"):
        decoded(png(4100, 4100, 8, 2, bytes(4100 * (1 + 3 * 4100))))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_large_png_is_written_row_by_row_with_all_that_goes_with_it(monkeypatch, channels):
    samples = noise(2, 300, 41, channels)
    picture = Picture(samples, icc=SRGB) if channels in (1, 3) else Picture(samples[..., :-1], samples[..., -1], SRGB)
    small, _ = encoded(picture, "PNG", FACTS)
    monkeypatch.setattr(saving, "MAPPED", 1000)
    monkeypatch.setattr(saving, "to_image", lambda picture: pytest.fail("copied"))
    large, notes = encoded(picture, "PNG", FACTS)
    assert not notes
    with Image.open(io.BytesIO(small)) as one, Image.open(io.BytesIO(large)) as other:
        assert other.mode == one.mode and np.array_equal(np.asarray(other), np.asarray(one)) and other.info["icc_profile"] == SRGB
        assert np.array_equal(np.asarray(other).reshape(samples.shape), samples) and other.text == one.text


def test_a_jpeg_keeps_its_chroma_sampling():
    for name, sampling in (("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)):
        out, _ = made(file_of(noise(0, 32, 32), "JPEG", subsampling=name), "JPEG")
        from PIL.JpegImagePlugin import get_sampling

        assert get_sampling(out) == sampling
        tables = Image.open(io.BytesIO(file_of(noise(0, 32, 32), "JPEG", quality=95))).quantization
        assert out.quantization == tables


def test_an_animation_gives_its_first_frame_and_says_so():
    frames = [Image.fromarray(noise(k, 8, 8)) for k in range(3)]
    body = io.BytesIO()
    frames[0].save(body, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    picture = decoded(body.getvalue())
    assert "the first of 3 frames" in picture.notes[0] and np.array_equal(picture.colour, np.asarray(frames[0]))


def test_broken_exif_is_left_out_and_told():
    image = Image.fromarray(noise(0, 8, 8))
    image.info["exif"] = b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
    picture = of_image(image)
    assert picture.exif is None or not picture.exif
    assert to_image(picture).size == (8, 8)


def test_what_is_hidden_under_transparency_does_not_come_out_nor_bleed_in():
    colour = np.full((64, 64, 3), 200, np.uint8)
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:, 32:] = 0
    colour[:, 32:] = (255, 0, 255)
    found = bled(colour, alpha)
    assert np.array_equal(found[:, :32], colour[:, :32]) and np.abs(found[:, 32:].astype(int) - 200).max() <= 1
    blur = np.ones((1, 1, 9, 9), np.float32) / 81

    import torch

    class Blur(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.conv2d(x.transpose(0, 1), torch.from_numpy(blur), padding=4).transpose(0, 1)

    applier = same(reach=4)
    applier.network = Blur()
    out = process(applier, Picture(colour, alpha)).picture
    assert np.abs(out.colour[10:54, 10:32].astype(int) - 200).max() <= 2, "no halo at the edge"
    assert np.array_equal(out.alpha, alpha)


def test_alpha_grows_with_the_picture():
    alpha = np.zeros((10, 12), np.uint16)
    alpha[:, 6:] = 65535
    large = enlarged(alpha, 3)
    assert large.shape == (30, 36) and large.dtype == np.uint16 and large[:, :12].max() == 0 and large[:, 24:].min() == 65535
    assert enlarged(alpha, 1) is alpha


def test_jpeg_lays_transparency_on_white_and_says_so():
    body = file_of(Image.new("RGBA", (16, 16), (255, 0, 0, 0)))
    out, notes = made(body, "JPEG")
    assert "laid on white" in notes[0] and np.asarray(out).min() > 250


def test_a_format_that_cannot_hold_the_size_is_an_error_in_words():
    with pytest.raises(StorageError, match=r"more than WEBP can hold. Use a name that ends in .png"):
        encoded(Picture(np.zeros((2, 16_384, 3), np.uint8)), "WEBP", FACTS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("deeper", [False, True])
def test_every_output_says_where_it_comes_from(kind, deeper):
    content, _ = encoded(Picture(noise(0, 8, 8, 3, np.uint16 if deeper else np.uint8)), kind, FACTS)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or image.tag_v2[700]
    packet = packet if isinstance(packet, bytes) else packet.encode()
    assert provenance.SOURCE_TYPE.encode() in packet and b"Ganforge" in packet and ("ab" * 32).encode() in packet
    from xml.etree import ElementTree

    ElementTree.fromstring(packet.split(b"?>", 1)[1].rsplit(b"<?xpacket", 1)[0])


def test_sizes_in_exif_follow_the_picture():
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ExifImageWidth: 9, ExifTags.Base.ExifImageHeight: 8, ExifTags.Base.ISOSpeedRatings: 400}
    body = file_of(Image.fromarray(noise(0, 8, 9)), "JPEG", exif=exif.tobytes())
    picture = process(same(), decoded(body)).picture
    content, _ = encoded(Picture(picture.colour.repeat(2, 0).repeat(2, 1), exif=picture.exif), "JPEG", FACTS)
    part = Image.open(io.BytesIO(content)).getexif().get_ifd(ExifTags.IFD.Exif)
    assert part[ExifTags.Base.ExifImageWidth] == 18 and part[ExifTags.Base.ExifImageHeight] == 16
    assert part[ExifTags.Base.ISOSpeedRatings] == 400


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("deeper", [False, True])
def test_the_camera_s_and_the_place_s_entries_are_kept_in_every_format(kind, deeper):
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ISOSpeedRatings: 400}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    samples = noise(0, 9, 12, 1, np.uint16) if deeper else noise(0, 9, 12)
    content, _ = encoded(Picture(samples, exif=exif, dpi=(300, 150), icc=None if deeper else SRGB), kind, FACTS)
    with Image.open(io.BytesIO(content)) as image:
        found = image.getexif()
        assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        if kind == "TIFF":
            assert np.array_equal(np.asarray(image), samples.squeeze()) and image.info["dpi"] == (300, 150) and image.tag_v2[700]
