"""The model card: valid front matter, honest blanks, no foreign markup."""

from __future__ import annotations

import ast
import json
import re

from ganforge.runs.card import model_card

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
