"""A run folder as one page for people: report.html, self-contained, offline, made from the files of the run alone.

Whatever comes from those files (file names, class names, metric names) is foreign text: it reaches the page escaped,
and the page's policy allows no script but the template's own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import logging
import re
import shlex
import string
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from ..core.guard.verdict import ADVICE
from .evaluations import read_all
from .grid import save_bytes
from .plots import charts, read_metrics
from .recover import COUNT

logger = logging.getLogger(__name__)

MOST_SNAPSHOTS = 40
MOST_BYTES = 160_000
"""Snapshots whose file is larger are embedded as WebP, so that 40 of them stay a page and not a download."""
MOST_SIDE = 1200
MOST_ROWS = 50
HOW_TO_READ = {
    "quality": "How far generated images are from real ones, measured now and then on the averaged generator: it should fall and then "
    "level out above the floor. best/ holds the latest model within the noise of its lowest point. See docs/evaluation.md for the name.",
    "PSNR": "How near made images are to wanted ones on examples not learnt from: it rises, and falls a little for what is lifelike.",
    "losses": "The two losses pull against each other, so they should hover rather than fall: only a discriminator loss that stays at "
    "zero, or a generator loss that climbs without end, means trouble. They say little about how good the images look.",
    "logits": "The discriminator's score for real and for generated images: real should lie above fake, with a gap that settles; "
    "a gap that keeps growing means that the discriminator is winning.",
    "accuracy": "The share that the discriminator gets right: between 0.5 and about 0.8 the game is even, while 1.0 on both for long "
    "means that it has won, or knows the training images by heart.",
    "speed": "Real images processed per second: dips are saving, sampling or other work on the machine.",
    "penalty": "What is added to the discriminator's loss to keep it smooth: it should stay small and bounded; sudden peaks come "
    "before trouble.",
}
OTHERS = "Logged by this method or its metrics; for distances such as FID and KID lower is better."


def _esc(value: object) -> str:
    """Text safe in HTML and in quoted attributes; the home folder becomes ~, since reports are shared."""
    text, home = str(value), str(Path.home())
    return html.escape(text.replace(home, "~") if len(home) > 1 else text)


def _missing(what: str) -> str:
    return f'<p class="missing">{_esc(what)}: not written yet.</p>'


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; {} where there is none or none that can be read (told in the log)."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError as error:
        logger.warning("%s is left out of the report: %s", path, error)
        return {}
    return found if isinstance(found, dict) else {}


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e15 else 0.0


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """(dotted name, text) for every leaf of nested JSON."""
    for key, one in value.items():
        if isinstance(one, Mapping) and one:
            yield from _flat(one, f"{prefix}{key}.")
        elif isinstance(one, (list, tuple)):
            more = f", … ({len(one)} in all)" if len(one) > 20 else ""
            yield f"{prefix}{key}", (", ".join(str(v) for v in one[:20]) + more) or "none"
        else:
            yield f"{prefix}{key}", "not set" if one is None or one == "" else "none" if one == {} else str(one)


def _table(rows: Iterable[tuple[str, object]], what: str) -> str:
    body = "".join(f'<tr><th scope="row">{_esc(k)}</th><td>{_esc(v)}</td></tr>' for k, v in rows)
    return f'<div class="scroll"><table>{body}</table></div>' if body else _missing(what)


def _list(lines: Sequence[object]) -> str:
    more = f"<li>… and {len(lines) - MOST_ROWS:,} more</li>" if len(lines) > MOST_ROWS else ""
    return "<ul>" + "".join(f"<li>{_esc(line)}</li>" for line in lines[:MOST_ROWS]) + more + "</ul>"


def _image(path: Path) -> tuple[str, bool] | None:
    """(data URI, small enough to be drawn pixelated) of an image file; None if it cannot be decoded (told in the log)."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            size, kind = image.size, "png"
            if len(content) > MOST_BYTES or max(size) > MOST_SIDE:
                image.thumbnail((MOST_SIDE, MOST_SIDE))
                buffer, kind = io.BytesIO(), "webp"
                image.save(buffer, format="WEBP", quality=88, method=2)
                content = buffer.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        logger.warning("%s is left out of the report: %s", path, error)
        return None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}", max(size) <= 400


def snapshots(folder: Path, most: int = MOST_SNAPSHOTS) -> list[tuple[int, Path]]:
    """(images seen, file) of samples/fakes_*.png in order, at most `most`: evenly thinned, always the first and the last."""
    found = ((re.fullmatch(r"fakes_(\d{1,18})\.png", path.name), path) for path in (Path(folder) / "samples").glob("fakes_*.png"))
    every = sorted((int(match[1]), path) for match, path in found if match)
    if len(every) <= most:
        return every
    return [every[round(i * (len(every) - 1) / (most - 1))] for i in range(most)]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{minutes} minutes" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _planned(recipe: Mapping[str, Any], plan: Mapping[str, Any]) -> float:
    """Planned number of real images: `examples`, or what the measured speed makes of `minutes`; 0 if neither is known."""
    run = _dict(_dict(recipe.get("fields")).get("run"))
    return _number(run.get("examples")) or _number(run.get("minutes")) * 60 * _number(plan.get("images_per_second"))


def _status(folder: Path, recipe: Mapping[str, Any], plan: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The run so far in plain words."""
    name = recipe.get("recipe")
    if not rows:
        return f'<p class="lead">No training step has been logged yet{f" (recipe {_esc(name)})" if name else ""}.</p>'
    seen, seconds, planned = _number(rows[-1]["seen"]), _number(rows[-1].get("seconds")), _planned(recipe, plan)
    said = f"The generator{f' (recipe {_esc(name)})' if name else ''} has learnt from {seen:,.0f} images"
    said += f" in {_duration(seconds)}" if seconds else ""
    speed = seen / seconds if seconds else _number(rows[-1].get("images_per_second"))
    said += f", {speed:,.0f} images per second on average." if speed else "."
    if not planned:
        return f'<p class="lead">{said}</p>'
    batch = _number(_dict(_dict(recipe.get("fields")).get("run")).get("batch"))
    share = min(seen / planned, 1.0)
    if seen + batch > planned:  # the last batch need not fill the budget exactly
        said, share = f"<strong>Finished.</strong> {said}", 1.0
    else:
        said = f"<strong>At {share:.0%} of the {planned:,.0f} planned.</strong> {said}"
        said += f" If it is no longer running, <code>gan resume {_esc(shlex.quote(_shown(folder)))}</code> continues exactly here."
    best = " The model, with averaged weights, is in <code>best/</code>." if (folder / "best" / "model.safetensors").is_file() else ""
    bar = f'<progress max="1" value="{share:.4f}" aria-label="share of the planned training">{share:.0%}</progress>'
    return f'<p class="lead">{said}{best}</p>{bar}'


def _health(folder: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """When and why the run went back, and the last word of the guard, with its advice; nothing while all is well."""
    told = _json(folder / COUNT).get("told")
    back = "".join(f"<p>{_esc(line)}</p>" for line in (told if isinstance(told, list) else []))
    word = str(next((row["health"] for row in reversed(rows) if "health" in row), ""))
    advice = ADVICE.get(word)
    return back + (f"<p><strong>Health: {_esc(word)}.</strong> {_esc(advice)}</p>" if advice else "")


def _samples(folder: Path, planned: float, columns: Sequence[object] = ()) -> str:
    """The slider over the sample history, with the real images beside it."""
    shots = [(seen, image) for seen, path in snapshots(folder) if (image := _image(path))]
    real = _image(folder / "reals.png") if (folder / "reals.png").is_file() else None
    parts = []
    for i, (seen, (uri, small)) in enumerate(shots):
        label = f"{seen:,} images seen" + (f" ({min(seen / planned, 1):.0%})" if planned else "")
        hidden = "" if i == len(shots) - 1 else " hidden"
        css = "shot small" if small else "shot"
        parts.append(f'<img class="{css}" src="{uri}" data-label="{label}" alt="Grid of generated images after {label}"{hidden}>')
    said = f"From left to right: {', '.join(map(str, columns))}; the same inputs" if columns else "Generated: the same latents"
    fakes = f"<figure>{''.join(parts)}<figcaption>{_esc(said)} in every picture</figcaption></figure>" if parts else ""
    reals = ""
    if real:
        css = ' class="small"' if real[1] else ""
        reals = f'<figure><img{css} src="{real[0]}" alt="Grid of real training images"><figcaption>Real images</figcaption></figure>'
    player = ""
    if len(shots) > 1:
        last = len(shots) - 1
        player = (
            '<div class="player"><button type="button" id="play">Play</button>'
            f'<input type="range" id="when" min="0" max="{last}" value="{last}" step="1" aria-label="Moment in the training"></div>'
            '<p><output id="said" for="when"></output> <span class="faint">&middot; the arrow keys move, too</span></p>'
        )
    missing = ("" if fakes else _missing("Samples")) + ("" if reals else _missing("Real images"))
    return player + (f'<div class="pair">{fakes}{reals}</div>' if fakes or reals else "") + missing


def _curves(rows: Sequence[Mapping[str, Any]]) -> str:
    drawn = charts(rows)
    inline = {name: svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1) for name, svg in drawn.items()}
    parts = [
        f'<figure class="chart">{svg}<figcaption>{HOW_TO_READ.get(name, OTHERS)}</figcaption></figure>' for name, svg in inline.items()
    ]
    return "".join(parts) or _missing("Curves")


def _evaluations(folder: Path) -> str:
    """What `gan evaluate` found, newest first: its table, and the nearest training images."""
    parts = []
    for found in reversed(read_all(folder)):
        name = found.saved.name if found.saved else ""
        parts.append(f'<h3>{_esc(name)}</h3><div class="code"><pre tabindex="0">{_esc(found.table())}</pre></div>')
        picture = found.saved.with_name(f"{found.saved.stem}-nearest.png") if found.saved else None
        if picture and picture.is_file() and (image := _image(picture)):
            said = "Left of each pair: a generated image; right: the training image nearest to it. The closest pairs come first."
            parts.append(
                f'<figure><img src="{image[0]}" alt="Pairs of generated and training images"><figcaption>{said}</figcaption></figure>'
            )
    return "".join(parts) or f"<p>Not evaluated yet: <code>gan evaluate {_esc(shlex.quote(_shown(folder)))}</code></p>"


def _plan(plan: Mapping[str, Any]) -> str:
    notes = plan.get("notes")
    facts = [(f"parameters of the {name}", f"{_number(count):,.0f}") for name, count in _dict(plan.get("parameters")).items()]
    if speed := _number(plan.get("images_per_second")):
        facts.append(("images per second, measured before the start", f"{speed:,.0f}"))
    said = _list(notes) if isinstance(notes, list) and notes else _missing("Plan")
    return said + (_table(facts, "") if facts else "")


def _data(report: Mapping[str, Any]) -> str:
    if not report:
        return _missing("Data report")
    known = ("summary", "skipped", "class_counts")
    summary, skipped, counts = (report.get(key) for key in known)
    parts = [_list(summary) if isinstance(summary, list) else f"<p>{_esc(summary)}</p>"] if summary else []
    rest = {key: value for key, value in report.items() if key not in known}
    if rest:
        parts.append(f"<details><summary>Everything the check-up found</summary>{_table(_flat(rest), '')}</details>")
    if counts:
        pairs = [(str(k), v) for k, v in (enumerate(counts) if isinstance(counts, list) else _dict(counts).items())]
        more = [("…", f"{len(pairs) - MOST_ROWS:,} more classes")] if len(pairs) > MOST_ROWS else []
        parts.append(f"<h3>Images per class</h3>{_table([*pairs[:MOST_ROWS], *more], 'Class counts')}")
    if isinstance(skipped, list) and skipped:
        lines = [f"{one.get('file', '?')}: {one.get('reason', '?')}" if isinstance(one, Mapping) else one for one in skipped]
        parts.append(f"<details><summary>{len(lines):,} files were skipped</summary>{_list(lines)}</details>")
    return "".join(parts)


def _shown(folder: Path) -> str:
    """The folder as the user would type it, without the way to it where it is absolute."""
    return folder.as_posix() if not folder.is_absolute() else "/".join(folder.parts[-2:]).lstrip("/")


def _use(folder: Path, translates: bool) -> str:
    name, quoted = _shown(folder), shlex.quote(_shown(folder))
    use, word = ("made = model.apply(image)", "apply") if translates else ("images = model.generate(seeds=range(16))", "generate")
    code = f"import ganforge\n\nmodel = ganforge.load({name!r})\n{use}"
    blocks = (
        ("New images on the command line", f"gan {word} {quoted}" + " PHOTO" * translates),
        ("Train on, exactly where it stopped", f"gan resume {quoted}"),
        ("From Python", code),
    )
    return "".join(f'<h3>{title}</h3><div class="code"><pre tabindex="0">{_esc(text)}</pre></div>' for title, text in blocks)


def write(folder: Path) -> Path:
    """Write report.html into a run folder, from what is there; parts that are missing say so. Returns its path."""
    folder = Path(folder)
    recipe, plan = _json(folder / "recipe.json"), _json(folder / "plan.json")
    rows, columns = read_metrics(folder), found if isinstance(found := plan.get("columns"), list) else []
    template = resources.files(__package__).joinpath("report_template.html").read_text(encoding="utf-8")
    script = template.split("<script>")[1].split("</script>")[0]
    page = string.Template(template).substitute(
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        title=_esc(folder.resolve().name),
        status=_status(folder, recipe, plan, rows) + _health(folder, rows),
        samples=_samples(folder, _planned(recipe, plan), columns),
        curves=_curves(rows),
        evaluations=_evaluations(folder),
        plan=_plan(plan),
        data=_data(_json(folder / "data_report.json")),
        use=_use(folder, bool(columns)),
        recipe=_table(
            [*_flat({key: value for key, value in recipe.items() if key != "fields"}), *_flat(_dict(recipe.get("fields")))], "Recipe"
        ),
        environment=_table(_flat(_json(folder / "environment.json")), "Environment"),
        version=_esc(recipe.get("ganforge", "")),
    )
    return save_bytes(page.encode("utf-8", errors="replace"), folder / "report.html")
