"""`gan preview RUN photo.jpg -o sheet.png`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from ..core.errors import DataError, UsageError
from .apply import existing, parse_mask
from .options import call


def main(arguments: list[str]) -> int:
    return call(preview, arguments, "gan preview")


def preview(
    run: Annotated[str, tyro.conf.Positional],
    photo: Annotated[str, tyro.conf.Positional],
    out: Annotated[str, tyro.conf.arg(aliases=("-o",))] = "preview.png",
    mask: str = "",
    hole: str = "auto",
    hints: str = "",
    network: str = "generator",
    overwrite: bool = False,
    device: str = "auto",
    code: tuple[str, ...] = (),
) -> int:
    """Show what a model makes of the most detailed 256 pixels of a photo, at strengths 0, 0.5 and 1 where it has them, beside the input.

    Args:
        run: A run folder, a copy of its best/ folder, or published weights of Real-ESRGAN's networks (.safetensors, .pth).
        photo: An image file.
        out: Where the picture goes (PNG).
        mask: Where the holes are, for models that fill them.
        hole: The colour of holes in masks: white, black, or auto.
        hints: Dots of known colour on a transparent picture as large as the photo, for models that colour.
        network: Which of the model's networks, such as backward for the way back of a CycleGAN.
        overwrite: Replace what is there already; sheets are replaced in any case.
        device: cpu, cuda, or auto.
        code: Your own .py files that the model names and that may be run.
    """
    place, layer = parse_mask(mask, hole), existing("--hints", hints)
    source, target = Path(photo).expanduser(), Path(out).expanduser()
    if not source.is_file():
        raise DataError(f"there is no image file {photo}.")
    if target.suffix.lower() != ".png" or target.exists() and target.samefile(source):
        raise UsageError(f"-o {out}: the sheet is a PNG file of its own. Use a name that ends in .png.")
    from ..data.opening import Unusable
    from ..tasks import preview as tasks
    from ..tasks import sheets
    from ..tasks.apply import files, of_model, pictures, process, provenance
    from ..tasks.apply.masks import Masks

    sheets.check_free(target, overwrite)
    model = of_model.opened(run, code=code, device=device)
    first = of_model.applier(model, export=network)
    process.check_holes(first, place is not None)
    process.check_hints(first, layer is not None)
    try:
        picture, found = pictures.read(source), None
        dots = pictures.read(layer, sparse=True) if layer else None
        if place:
            job = files.Job(source, None)
            found, said = Masks(place, [job], hole).read(job, picture.size)
            sys.stdout.write(said + "\n")
    except Unusable as error:
        raise DataError(f"{photo}, its mask or its hints cannot be used: {error}.") from error
    made = tasks.sheet(model, picture, found, hints=dots, export=network)
    sheets.save(made.image, target, provenance.chunks({sheets.MARK: "preview", **of_model.facts(model, network)}))
    sys.stdout.write("".join(f"{line}\n" for line in (target, *(f"  {note}" for note in made.notes))))
    return 0
