"""The model card: valid front matter, honest blanks, no foreign markup."""

from __future__ import annotations

import ast
import json
import re

from ganforge.runs.card import data_card, model_card

RECIPE = {
    "recipe": "auto", "ganforge": "0.1.0", "spec": {"shape": [1, 28, 28], "classes": 2, "names": ["cat", "dog"], "count": 60000},
    "fields": {"data": {"path": "/home/jo/private/pets"}, "run": {"batch": 64, "seed": 0}, "width": 32},
}  # fmt: skip
PLAN = {"notes": ["Width 32: fits 2 cores."], "parameters": {"generator": 640000}}
STATUS = {"folder": "runs/pets-001", "seen": 300000, "total": 400000, "seconds": 300.0, "metrics": {"kid": 0.04123}}


def test_card_tells_what_the_files_know():
    card = model_card(RECIPE, PLAN, STATUS)
    for fact in (
        "60,000",
        "1 x 28 x 28",
        "cat, dog",
        "300,000",
        "5 minutes",
        "640,000",
        "- kid: 0.04123",
        "Width 32: fits",
        "AI-generated",
    ):
        assert fact in card
    assert "\n# pets-001\n" in card and "300,000 of 400,000 planned" in card
    assert "\n# pets: generated\n" in model_card(RECIPE, PLAN, {})
    assert "Source: pets" in card and "/home/jo" not in card


def test_front_matter_is_yaml_and_the_licence_is_left_to_the_author():
    _, front, body = model_card(RECIPE, PLAN, STATUS).split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.strip().splitlines())
    assert fields["library_name"] == "ganforge" and json.loads(fields["license"]) == "unknown - set by the author"
    assert {"gan", "ai-generated", "auto"} <= set(json.loads(fields["tags"]))
    assert "People in the data? Consent?** _To be filled in" in body


def test_the_code_in_the_card_is_python_that_loads_this_folder():
    path = 'runs/"pets\\ 001'
    code = re.search(r"```python\n(.*?)```", model_card(RECIPE, PLAN, STATUS | {"folder": path}), re.DOTALL)[1]
    (call,) = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert ast.unparse(call.func) == "ganforge.load" and ast.literal_eval(call.args[0]) == path


def test_hostile_names_make_no_markup():
    bad = "x\n---\n# Title <img src=x> [a](http://e) `{path}`"
    recipe = {"recipe": bad, "spec": {"names": [bad]}, "fields": {"data": {"path": bad}, bad: bad}}
    card = model_card(recipe, {"notes": [bad], "parameters": {bad: 1}}, {"metrics": {bad: bad}})
    prose = re.sub(r"`[^`\n]*`", "", card)  # the recipe's name stands in a code span, where nothing is markup
    assert "<img" not in prose and "[a](" not in prose
    assert card.count("\n---\n") == 1 and card.count("\n# ") == 1


def test_a_card_of_nothing_is_still_a_card():
    card = model_card({}, {}, {})
    assert "Real examples seen: unknown" in card and "Not measured yet" in card and "None" not in card


REPORT = {
    "path": "/home/jo/private/pets", "kind": "folder", "files": 1200, "usable": 1195, "held_out": 100, "size_why": "64x64: asked for",
    "colour_why": "RGB: as the data is", "modes": {"RGB": 1195}, "sizes": {"min": 64, "max": 900}, "class_counts": {"cat": 400, "dog": 795},
    "skipped": [{"file": "a.txt", "reason": "not an image"}] * 5, "reasons": {"not an image": 5}, "duplicates": 3, "near_duplicates": 7,
    "notes": ["nothing odd"], "fingerprint": "0123abcd", "flip": True,
}  # fmt: skip


def test_the_data_card_tells_what_the_report_knows():
    card = data_card(REPORT)
    for fact in (
        "# Data card: pets\n",
        "- Source: pets (folder)",
        "1,200 found, 1,195 usable, 5 skipped",
        "Held out, never learnt from: 100",
        "64x64: asked for; sides found: 64 to 900",
        "RGB: as the data is; modes found: RGB 1,195",
        "## Classes\n\n- dog: 795\n- cat: 400\n",
        "## Skipped\n\n- not an image: 5\n",
        "3 exact, 7 near",
        "nothing odd",
        "0123abcd",
        "Licence:** _to be filled in",
    ):
        assert fact in card, fact
    assert "/home/jo" not in card and 20 <= len(card.splitlines()) <= 40


def test_the_data_card_knows_the_licence_of_a_built_in_set_and_says_it_once():
    card = data_card(REPORT | {"kind": "digits", "notes": ["digits: CC BY 4.0; someone, 1998", "another"]})
    assert "**Licence:** CC BY 4.0; someone, 1998\n" in card and card.count("CC BY") == 1 and "another" in card


def test_the_data_card_names_the_twenty_largest_classes():
    card = data_card(REPORT | {"class_counts": {f"kind {i}": i for i in range(30)}})
    assert "- kind 10: 10\n- ... and 10 more" in card and "kind 9:" not in card


def test_the_data_card_takes_no_markup_and_nothing_at_all():
    bad = "x\n# Title <img src=x> [a](http://e) `{path}`"
    report = {"path": bad, "kind": bad, "size_why": bad, "modes": {bad: 1}, "class_counts": {bad: 1}, "reasons": {bad: 1}, "notes": [bad]}
    card = data_card(report)
    assert "<img" not in card and "[a](" not in card and card.count("\n# ") == 0
    empty = data_card({})
    assert "unknown usable" in empty and "None: nothing is labelled." in empty and "Nothing." in empty
