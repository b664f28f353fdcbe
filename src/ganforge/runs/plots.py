"""Curves of a run: metrics.jsonl to standalone SVG charts and to metrics.csv. No plotting library needed."""

from __future__ import annotations

import csv
import html
import io
import json
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .grid import save_bytes

logger = logging.getLogger(__name__)
Points = Sequence[tuple[float, float]]
Place = Callable[[float, float], tuple[float, float]]

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, BOTTOM = 64, 16, 46
KINDS = 6
"""Colours there are (Okabe and Ito, told apart with any colour vision); further series repeat them dashed."""
MOST_POINTS = 500
"""Longer series are averaged in blocks: more points than pixels only make the file heavy."""
CLOCK = ("seen", "step", "seconds")
STYLE = """
.gf{--paper:#fff;--ink:#24292f;--faint:#6a737d;--line:#e3e6ea;--s0:#0072b2;--s1:#d55e00;--s2:#00805f;--s3:#b0508a;--s4:#9a6b00;--s5:#2b7fb8;
font:13px system-ui,sans-serif}
@media(prefers-color-scheme:dark){.gf{--paper:#16191d;--ink:#e6e8eb;--faint:#9aa4af;--line:#2c3138;
--s0:#56b4e9;--s1:#f08a45;--s2:#2fc79b;--s3:#e39ac6;--s4:#e6b422;--s5:#8fb8ff}}
.gf .paper{fill:var(--paper)}.gf text{fill:var(--ink)}.gf .t{font-weight:600;font-size:15px}.gf .f{fill:var(--faint);font-size:12px}
.gf .g{stroke:var(--line);stroke-width:1}.gf path{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.gf .raw{stroke-width:1;opacity:.3}
@media(max-width:600px){.gf{font-size:15px}.gf .f{font-size:17px}.gf .t{font-size:19px}}
""" + "".join(f".gf .s{i}{{stroke:var(--s{i})}}.gf circle.s{i}{{fill:var(--s{i})}}" for i in range(KINDS))


def _text(text: object) -> str:
    """Escaped for XML, without the control characters that XML forbids even escaped."""
    return html.escape(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", str(text)))


def short(value: float, digits: int = 3) -> str:
    """A number for people, three digits unless told: 12345 -> '12.3k', 300000 -> '300k', 0.25 -> '0.25'."""
    value = float(f"{value:.{digits}g}")  # before the unit is chosen, or 999.9 would become 1e+03
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1e12:
            return f"{value / size:.{digits}g}{sign}"
    return f"{value:.{digits}g}" if value else "0"


def _labels(values: Sequence[float]) -> list[str]:
    """As short as they can be while no two are the same: 1000.1 and 1000.2 need five digits."""
    for digits in range(3, 12):
        shown = [short(v, digits) for v in values]
        if len(set(shown)) == len(shown):
            return shown
    return [repr(v) for v in values]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) inside [low, high], near `about` of them."""
    raw = (high - low) / about
    if not raw > 0 or not math.isfinite(raw):
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((k * power for k in (1, 2, 5) if k * power >= raw * 0.999), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def y_limits(values: Sequence[float]) -> tuple[float, float]:
    """Range of the axis: all values, unless a few lie so far out that they would flatten the rest.

    Kept are the middle 90 % and once their width on either side; those beyond leave the picture (and are counted).
    """
    v = sorted(values)
    low, high = v[0], v[-1]
    if len(v) >= 8:
        a, b = v[math.ceil(0.05 * (len(v) - 1))], v[math.floor(0.95 * (len(v) - 1))]
        if b > a:
            low, high = max(low, a - (b - a)), min(high, b + (b - a))
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _clean(points: Points) -> list[tuple[float, float]]:
    """Finite x in order; y that is not a finite number (or too large to scale) becomes NaN, which is a gap."""
    kept = ((float(x), float(y) if abs(y) < 1e150 else math.nan) for x, y in points if math.isfinite(x))
    clean = sorted(kept, key=lambda p: p[0])
    if len(clean) <= MOST_POINTS:
        return clean
    block, out = -(-len(clean) // MOST_POINTS), []
    for i in range(0, len(clean), block):
        part = clean[i : i + block]
        good = [y for _, y in part if not math.isnan(y)]
        out.append((part[-1][0], sum(good) / len(good) if good else math.nan))
    return out


def _smooth(points: Points, weight: float) -> list[tuple[float, float]]:
    """Running average that begins unbiased and steps over gaps: new = weight * old + (1 - weight) * y."""
    out, total, mass = [], 0.0, 0.0
    for x, y in points:
        if not math.isnan(y):
            total, mass = weight * total + (1 - weight) * y, weight * mass + (1 - weight)
        out.append((x, y if math.isnan(y) else total / mass))
    return out


def _path(points: Points, place: Place, css: str, dash: str) -> str:
    """One polyline with a pen-up at every NaN; a point alone between gaps becomes a dot."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if math.isnan(y):
            runs.append([])
        else:
            runs[-1].append(place(x, y))
    lines = " ".join("M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in run) for run in runs if len(run) > 1)
    dots = "".join(f'<circle class="{css}" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="2.5"/>' for run in runs if len(run) == 1)
    return (f'<path class="{css}" d="{lines}"{dash}/>' if lines else "") + dots


def _legend(names: Sequence[str]) -> tuple[str, int]:
    """Colour keys under the title, wrapped to the width, and the y at which they end."""
    parts, x, y = [], LEFT, 46
    for i, name in enumerate(names):
        shown = name if len(name) <= 48 else name[:47] + "…"
        need = 34 + 7 * len(shown) + 18
        if x > LEFT and x + need > WIDTH - RIGHT:
            x, y = LEFT, y + 20
        parts.append(f'<path class="s{i % KINDS}" d="M{x},{y - 4} h22"{_dash(i)}/><text x="{x + 28}" y="{y}">{_text(shown)}</text>')
        x += need
    return "".join(parts), y


def _dash(i: int) -> str:
    return "" if i < KINDS else f' stroke-dasharray="{2 + 4 * (i // KINDS)} 4"'


def _axes(x_range: tuple[float, float], y_range: tuple[float, float], place: Place, top: int, x_label: str, y_label: str) -> str:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    at = ticks(*y_range)
    for v, label in zip(at, _labels(at), strict=True):
        y = place(x_range[0], v)[1]
        parts.append(f'<path class="g" d="M{LEFT},{y:.1f} H{right}"/>')
        parts.append(f'<text class="f" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    at = ticks(*x_range, about=6)
    for v, label in zip(at, _labels(at), strict=True):
        x = place(v, y_range[0])[0]
        parts.append(f'<text class="f" x="{x:.1f}" y="{floor + 18}" text-anchor="middle">{label}</text>')
    parts.append(f'<text class="f" x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{_text(x_label)}</text>')
    middle = (top + floor) / 2
    parts.append(f'<text class="f" transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{_text(y_label)}</text>')
    return "".join(parts)


def line_chart(
    series: Mapping[str, Points], *, title: str, x_label: str, y_label: str, y_range: tuple[float, float] | None = None, smooth: float = 0.0
) -> str:
    """Standalone SVG text of {name: [(x, y), ...]}: gaps at NaN, an axis that one spike cannot flatten, light and dark.

    `y_range` fixes the axis. `smooth` in [0, 1): weight of the past in a running average; the raw curve stays, faint.
    """
    curves = {name: _clean(points) for name, points in series.items()}
    known = [(x, y) for points in curves.values() for x, y in points if not math.isnan(y)]
    legend, end = _legend(list(curves))
    top, right, floor = end + 14, WIDTH - RIGHT, HEIGHT - BOTTOM
    ends = ", ".join(f"{name} ends at {short(good[-1])}" for name, p in curves.items() if (good := [y for _, y in p if not math.isnan(y)]))
    label = _text(f"{title}: {ends or 'no numbers yet'}")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="gf" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    head += f'<style>{STYLE}</style><rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    head += f'<text class="t" x="{LEFT}" y="24">{_text(title)}</text>{legend}'
    if not known:
        return f'{head}<text class="f" x="{WIDTH / 2}" y="{(top + floor) / 2}" text-anchor="middle">no numbers yet</text></svg>\n'
    xs = [x for x, _ in known]
    x0, x1 = min(xs), max(xs)
    x0 = 0.0 if 0 < x0 < 0.05 * x1 else x0  # an axis that begins near nothing should say so
    x0, x1 = (x0, x1) if x1 > x0 else (x0 - 0.5, x1 + 0.5)
    low, high = y_range or y_limits([y for _, y in known])

    def place(x: float, y: float) -> tuple[float, float]:
        down = (high - y) / (high - low)
        return LEFT + (x - x0) / (x1 - x0) * (right - LEFT), top + min(max(down, -9.0), 10.0) * (floor - top)

    lines = []
    for i, points in enumerate(curves.values()):
        if smooth:
            lines.append(_path(points, place, f"s{i % KINDS} raw", ""))
            # Clamped, or one spike far outside would drag the average out of the picture for long.
            points = _smooth([(x, y if math.isnan(y) else min(max(y, low), high)) for x, y in points], smooth)
        lines.append(_path(points, place, f"s{i % KINDS}", _dash(i)))
    # A nested svg clips without an id, and ids would clash where several charts stand in one page.
    clip = f'<svg x="{LEFT}" y="{top}" width="{right - LEFT}" height="{floor - top}" viewBox="{LEFT} {top} {right - LEFT} {floor - top}"'
    outside = sum(not low <= y <= high for _, y in known)
    note = f"{outside} of {len(known)} points lie outside" if outside else ""
    return (
        f"{head}{_axes((x0, x1), (low, high), place, top, x_label, y_label)}{clip}>{''.join(lines)}</svg>"
        f'<text class="f" x="{right}" y="24" text-anchor="end">{note}</text></svg>\n'
    )


def read_metrics(folder: Path) -> list[dict]:
    """Rows of metrics.jsonl by images seen; [] where there is none.

    Rows that a resumed run went back over are dropped, the later ones count. A line that is not a JSON object (a crash
    can cut the last one) is left out with a warning.
    """
    path = Path(folder) / "metrics.jsonl"
    rows: list[dict] = []
    if not path.is_file():
        return rows
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not _is_number(row.get("seen")):
            logger.warning("%s line %d is not a row of numbers and is left out", path, number)
            continue
        while rows and rows[-1]["seen"] >= row["seen"]:
            rows.pop()
        rows.append(row)
    return rows


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _group(name: str) -> tuple[str, str]:
    """Chart that a column belongs to, and what it is called there: 'logits/real' -> ('logits', 'real')."""
    if name == "images_per_second":
        return "speed", "images per second"
    first, _, rest = name.partition("/")
    if rest == "loss":
        return "losses", first
    return first, rest or first


TITLES = {
    "quality": ("Distance to real images (floor: real against real)", "lower is better"),
    "PSNR": ("Nearness to the wanted images: PSNR", "decibels, higher is better"),
    "SSIM": ("Nearness to the wanted images: SSIM", "higher is better"),
    "losses": ("Losses", "loss"),
    "logits": ("What the discriminator says (logits)", "logit"),
    "accuracy": ("How often the discriminator is right", "share right"),
    "speed": ("Speed", "images per second"),
    "penalty": ("Penalties", "penalty"),
}


def charts(rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """{'losses': svg, 'logits': svg, ...} of metric rows, the known ones first, one chart a prefix."""
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in TITLES}
    for column in dict.fromkeys(c for row in rows for c in row if c not in CLOCK):
        points = [(float(row["seen"]), float(row[column]) if _is_number(row[column]) else math.nan) for row in rows if column in row]  # type: ignore[arg-type]
        if any(_is_number(row.get(column)) for row in rows):
            group, name = _group(column)
            groups.setdefault(group, {})[name] = points
    drawn = {}
    for group, series in groups.items():
        if series:
            title, unit = TITLES.get(group, (group, "value"))
            limits = (0.0, 1.0) if group == "accuracy" else None
            smooth = 0.8 if group == "losses" and len(rows) >= 40 else 0.0
            drawn[group] = line_chart(series, title=title, x_label="images seen", y_label=unit, y_range=limits, smooth=smooth)
    return drawn


def draw_all(folder: Path) -> list[Path]:
    """Write plots/losses.svg, logits.svg, accuracy.svg, speed.svg and one more for every other prefix in metrics.jsonl."""
    drawn = charts(read_metrics(folder))
    slugs = {name: re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "plot" for name in drawn}
    return [save_bytes(svg.encode(), Path(folder) / "plots" / f"{slugs[name]}.svg") for name, svg in drawn.items()]


def write_csv(folder: Path) -> Path | None:
    """metrics.jsonl to metrics.csv with the union of all columns (the clock first); None where there is nothing yet."""
    rows = read_metrics(folder)
    if not rows:
        return None
    columns = [*CLOCK, *(c for c in dict.fromkeys(c for row in rows for c in row) if c not in CLOCK)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return save_bytes(text.getvalue().encode(), Path(folder) / "metrics.csv")
