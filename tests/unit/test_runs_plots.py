"""Curves: valid SVG whatever the numbers, and a CSV with every column."""

from __future__ import annotations

import csv
import json
import math
import re
import xml.etree.ElementTree as ET

import pytest

from ganforge.runs.plots import draw_all, line_chart, read_metrics, short, ticks, write_csv, y_limits

NAN = math.nan
LABELS = {"title": "t", "x_label": "x", "y_label": "y"}


def lines(svg: str) -> list[list[tuple[float, float]]]:
    """Pen strokes of the curves (inside the nested svg) as points; raises if the text is no XML."""
    space = "{http://www.w3.org/2000/svg}"
    inner = ET.fromstring(svg).find(f"{space}svg")
    strokes = [s for path in inner.iter(f"{space}path") for s in path.get("d").split("M")[1:]]
    return [[(float(x), float(y)) for x, y in re.findall(r"([-\d.]+),([-\d.]+)", stroke)] for stroke in strokes]


def write_rows(folder, rows):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_nan_and_infinity_are_gaps_and_a_point_alone_is_a_dot():
    svg = line_chart({"a": [(0, 1), (1, 2), (2, NAN), (3, 1), (4, math.inf), (5, 2), (6, 3), (7, 1e300)]}, **LABELS)
    assert [len(stroke) for stroke in lines(svg)] == [2, 2]
    assert svg.count("<circle") == 1


@pytest.mark.parametrize("value", [0.0, 1.0, -3e-9, 1e12])
def test_a_constant_curve_is_a_level_line_inside_the_picture(value):
    (stroke,) = lines(line_chart({"a": [(x, value) for x in range(10)]}, **LABELS))
    heights = {y for _, y in stroke}
    assert len(heights) == 1 and 60 < heights.pop() < 294


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [(0, NAN)]}, {"a": [(NAN, 1.0)]}])
def test_nothing_to_draw_says_so(series):
    svg = line_chart(series, **LABELS)
    assert ET.fromstring(svg) is not None and "no numbers yet" in svg and "nan" not in svg


def test_one_spike_does_not_flatten_the_curve_and_is_owned_up_to():
    points = [(x, x / 100 + (1e6 if x == 50 else 0)) for x in range(100)]
    svg = line_chart({"a": points}, **LABELS)
    heights = [y for x, (_, y) in enumerate(lines(svg)[0]) if x != 50]
    assert max(heights) - min(heights) > 80  # of about 230; with the spike on the axis it would be 0
    assert "1 of 100 points lie outside" in svg
    assert "outside" not in line_chart({"a": points[:50]}, **LABELS)


def test_few_points_are_never_cut_off():
    assert y_limits([0, 0, 0, 0, 0, 0, 100]) == (-5, 105)


def test_a_spike_does_not_drag_the_smoothed_curve_away():
    points = [(x, x % 2 + (1e9 if x == 20 else 0)) for x in range(60)]
    raw, smooth = lines(line_chart({"a": points}, smooth=0.8, **LABELS))
    assert len(raw) == len(smooth) == 60
    swing = [max(y) - min(y) for y in ([y for _, y in curve[40:]] for curve in (raw, smooth))]
    assert swing[1] < swing[0] / 2 and all(60 < y < 294 for _, y in smooth)


def test_ticks_are_round_numbers_inside_the_range():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(-7, 312) == [0, 100, 200, 300]
    assert ticks(3, 3) == [3]
    assert [short(v) for v in (0, 999.96, 12345, 3e5, 2.5e6, -0.00012)] == ["0", "1k", "12.3k", "300k", "2.5M", "-0.00012"]


def test_tick_labels_differ_where_the_range_is_narrow():
    svg = line_chart({"a": [(0, 1000.1), (1, 1000.5)]}, **LABELS)
    shown = re.findall(r'text-anchor="end">([^<]+)<', svg)
    assert len(shown) >= 3 and len(set(shown)) == len(shown)


def test_hostile_names_are_text_in_valid_xml():
    svg = line_chart({"<script>alert(1)</script>\x00": [(0, 1), (1, 2)]}, title='"><b>', x_label="&", y_label="\x1b")
    root = ET.fromstring(svg)
    assert not [e for e in root.iter() if e.tag.endswith(("script", "}b"))]
    assert root.get("aria-label").startswith('"><b>: <script>')


def test_long_series_stay_light():
    svg = line_chart({"a": [(x, math.sin(x / 1e4)) for x in range(50_000)]}, **LABELS)
    assert len(svg) < 15_000


def test_every_prefix_gets_its_chart(tmp_path):
    write_rows(tmp_path, [{"seen": s, "step": s, "seconds": s, "images_per_second": 9, "discriminator/loss": 1,
                           "generator/loss": 2, "logits/real": s,
                           "accuracy/fake": 0.5, "penalty/r1": 0.1, "kid": None if s else 0.2} for s in range(3)])  # fmt: skip
    assert [p.relative_to(tmp_path).as_posix() for p in draw_all(tmp_path)] == [
        f"plots/{n}.svg" for n in ("losses", "logits", "accuracy", "speed", "penalty", "kid")
    ]
    losses = (tmp_path / "plots" / "losses.svg").read_text()
    assert "discriminator" in losses and "generator" in losses and len(lines(losses)) == 2


def test_csv_has_the_union_of_columns_with_the_clock_first(tmp_path):
    write_rows(tmp_path, [{"b": 1, "seen": 10, "step": 1, "seconds": 0.5}, {"seen": 20, "step": 2, "seconds": 1.0, "a": 2.5}])
    with write_csv(tmp_path).open() as file:
        assert list(csv.reader(file)) == [["seen", "step", "seconds", "b", "a"], ["10", "1", "0.5", "1", ""], ["20", "2", "1.0", "", "2.5"]]


def test_no_metrics_draw_nothing(tmp_path):
    assert draw_all(tmp_path) == [] and write_csv(tmp_path) is None and read_metrics(tmp_path) == []


def test_rows_gone_over_again_after_a_resume_count_once_and_a_cut_line_is_told(tmp_path, caplog):
    write_rows(tmp_path, [{"seen": s, "v": 0} for s in (10, 20, 30)] + [{"seen": s, "v": 1} for s in (20, 30, 40)])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"seen": 50, "v')
    assert [(r["seen"], r["v"]) for r in read_metrics(tmp_path)] == [(10, 0), (20, 1), (30, 1), (40, 1)]
    assert "line 7" in caplog.text
