"""The model card: what a model is, what it learnt from and what it must not be used for, as best/README.md; and the data's own card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..core.checkpoint import replace_file
from .folder import Folder

TEMPLATE = """---
library_name: ganforge
license: "unknown - set by the author"
pipeline_tag: {pipeline}
tags: {tags}
---

# {title}

A generative adversarial network trained with [Ganforge](https://pypi.org/project/ganforge/) (recipe `{recipe}`).
**Everything it makes is AI-generated. Say so wherever you show it.**

## Load it

```python
import ganforge

model = ganforge.load({path})
{use}```

The folder holds `model.safetensors` (weights) and `config.json`. No pickle: loading it runs no code.

## Intended use

_To be filled in by the author: what is it for, and for whom?_

Good for: {good}
Not for: {bad}

## Training data

{data}

- **People in the data? Consent?** _To be filled in by the author: yes / no. If yes: who, and how did they agree?_
- **Licence of the data:** _to be filled in by the author._

## Training procedure

{procedure}
{notes}
## Results

{results}

## Limits

{limits}

## Provenance

Outputs are AI-generated. Keep the marks that Ganforge writes into image files, and label what you publish: in many
places the law asks for it (in the European Union: AI Act, article 50).
"""

DRAWS = {
    "pipeline": "unconditional-image-generation",
    "tag": "image-generation",
    "use": "",
    "title": "generated",
    "good": "study, play, more examples like the training data after a check by a person.",
    "bad": "passing off its output as real, identifying or imitating people, decisions about people.",
    "limits": """- It repeats what its training data holds, gaps and prejudices included, and shows rare things more rarely still.
- It can reproduce training examples. Look at the nearest training images before you publish samples of private data.
- Samples differ in quality, and a metric is a number about many of them, not about one.
- It has learnt one size and one kind of example and knows nothing else.""",
}
TRANSLATES = {
    "pipeline": "image-to-image",
    "tag": "image-to-image",
    "use": "made = model.apply(image)\n",
    "title": "image to image",
    "good": "study, play, making pictures nicer to look at.",
    "bad": "evidence, medicine, reading number plates or recognising people: detail that the input lacks is invented.",
    "limits": """- It makes up what the input does not hold, after what its training data look like, gaps and prejudices included.
- Inputs of another kind than it has learnt from come out worse, and sometimes wrong.
- A metric is a number about many images, not about one.""",
}
"""What is said of models that draw, and of those that make images of images."""

DATA = """# Data card: {title}

What a run of Ganforge learnt from. All that was found, every skipped file by name included, is in `data_report.json`.

## What it is

{facts}

## Classes

{classes}

## Skipped

{skipped}

## Rights

- **Licence:** {licence}
- **People in the data? Consent?** _To be filled in by the author: yes / no. If yes: who, and how did they agree?_
"""
MOST = 20
"""Classes that a card names."""


def _safe(value: object) -> str:
    """Foreign text in Markdown: one line, and no HTML, code, link or table begins in it."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(value)).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", text)


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: object) -> str:
    return f"{value:,.0f}" if isinstance(value, (int, float)) else "unknown"


def _bullets(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _source(recipe: Mapping[str, Any]) -> str:
    return str(_dict(_dict(recipe.get("fields")).get("data")).get("path") or "")


def _last(path: str) -> str:
    """The last part of a path of any system."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or "model"


def _data(recipe: Mapping[str, Any]) -> str:
    spec, source = _dict(recipe.get("spec")), _source(recipe)
    facts = {"Examples": _whole(spec.get("count") or None)}
    if source:  # the last part only: the way to it tells about the author's machine
        facts["Source"] = _safe(_last(source))
    if shape := spec.get("shape"):
        facts["Shape of one example"] = " x ".join(_safe(side) for side in shape) + " (channels first)"
    if names := spec.get("names"):
        more = f", ... ({len(names)} in all)" if len(names) > MOST else ""
        facts["Classes"] = ", ".join(_safe(name) for name in names[:MOST]) + more
    elif classes := spec.get("classes"):
        facts["Classes"] = _whole(classes)
    return _bullets(facts)


def _procedure(recipe: Mapping[str, Any], plan: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    facts = {"Recipe": f"{_safe(recipe.get('recipe', 'unknown'))}, Ganforge {_safe(recipe.get('ganforge', 'unknown'))}"}
    planned = f" of {_whole(status['total'])} planned" if "total" in status else ""
    facts["Real examples seen"] = _whole(status.get("seen")) + planned
    if isinstance(seconds := status.get("seconds"), (int, float)):
        facts["Training time"] = f"{seconds / 60:,.0f} minutes"
    for name, count in _dict(plan.get("parameters")).items():
        facts[f"Parameters of the {_safe(name)}"] = _whole(count)
    for name, value in _dict(recipe.get("fields")).items():
        if name not in ("data", "run") and not isinstance(value, Mapping):
            facts[_safe(name)] = _safe(value)
    run = _dict(_dict(recipe.get("fields")).get("run"))
    facts |= {_safe(name): _safe(run[name]) for name in ("batch", "ema", "seed", "precision") if name in run}
    return _bullets(facts)


def model_card(recipe: dict[str, Any], plan: dict[str, Any], status: dict[str, Any]) -> str:
    """Markdown with YAML front matter, of recipe.json, plan.json and how far the training came.

    `status` may hold "folder" (what to type into `load`), "seen" and "total" (real examples), "seconds", and
    "metrics" ({name: number}); what is missing is called unknown. Fields that only the author can fill in say so.
    """
    name, folder = str(recipe.get("recipe", "unknown")), str(status.get("folder") or "path/to/this/folder")
    shape = _dict(recipe.get("spec")).get("shape") or ()
    image, kind = len(shape) == 3, TRANSLATES if _dict(plan).get("columns") else DRAWS
    tags = ["gan", "ganforge", "ai-generated", *([kind["tag"]] if image else []), re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:60]]
    notes = plan.get("notes")
    metrics = {_safe(k): _safe(f"{v:.4g}" if isinstance(v, (int, float)) else v) for k, v in _dict(status.get("metrics")).items()}
    return TEMPLATE.format(
        pipeline=kind["pipeline"] if image else "other",
        tags=json.dumps(list(dict.fromkeys(tags))),
        title=_safe(_last(folder) if status.get("folder") else f"{_last(_source(recipe))}: {kind['title']}"),
        recipe=re.sub(r"[`\s]+", " ", name),
        path=json.dumps(folder),
        **{part: kind[part] for part in ("use", "good", "bad", "limits")},
        data=_data(recipe),
        procedure=_procedure(recipe, plan, status),
        notes="\nChosen because:\n\n" + "\n".join(f"- {_safe(note)}" for note in notes) + "\n" if isinstance(notes, list) and notes else "",
        results=_bullets(metrics)
        or "Not measured yet. _To be filled in by the author: which metric, on how many samples, with what result?_",
    )


def data_card(report: Mapping[str, Any]) -> str:
    """Markdown of data_report.json; what it lacks is called unknown. Of the path only the last part is told."""
    told, sides = report.get, _dict(report.get("sizes"))
    kind, name = str(told("kind") or "unknown"), _last(str(told("path") or "data"))
    found = f"; sides found: {_safe(sides.get('min'))} to {_safe(sides.get('max'))}" if sides else ""
    modes = ", ".join(f"{_safe(mode)} {_whole(count)}" for mode, count in _dict(told("modes")).items())
    facts = {
        "Source": _safe(name) + (f" ({_safe(kind)})" if kind != name else ""),
        "Images": f"{_whole(told('files'))} found, {_whole(told('usable'))} usable, {_whole(len(told('skipped') or []))} skipped",
        "Held out, never learnt from": _whole(told("held_out")),
        "Size": _safe(told("size_why") or "unknown") + found,
        "Colour": _safe(told("colour_why") or "unknown") + (f"; modes found: {modes}" if modes else ""),
        "Mirrored at random": "yes" if told("flip") else "no",
        "Duplicates": f"{_whole(told('duplicates'))} exact, {_whole(told('near_duplicates'))} near",
        "Fingerprint of the pixels": _safe(told("fingerprint") or "unknown"),
    }
    notes = [str(note) for note in told("notes") or []]
    licence = next((note.removeprefix(f"{kind}: ") for note in notes if note.startswith(f"{kind}: ")), "")  # of a built-in set
    facts |= {f"Note {i}": _safe(note) for i, note in enumerate((n for n in notes if not licence or licence not in n), 1)}
    return DATA.format(
        title=_safe(name),
        facts=_bullets(facts),
        classes=_largest(_dict(told("class_counts")), MOST) or "None: nothing is labelled.",
        skipped=_largest(_dict(told("reasons")), MOST) or "Nothing.",
        licence=_safe(licence) or "_to be filled in by the author._",
    )


def _largest(counts: Mapping[str, Any], most: int) -> str:
    """Names with their counts, the largest first."""
    order = sorted(counts.items(), key=lambda item: -item[1])
    more = [f"- ... and {len(order) - most:,} more"] if len(order) > most else []
    return "\n".join([*(f"- {_safe(name)}: {_whole(count)}" for name, count in order[:most]), *more])


def write_data(folder: Folder, report: Mapping[str, Any]) -> None:
    """data_report.json and data_card.md, the same for people."""
    folder.write_json("data_report.json", report)
    replace_file(folder.path / "data_card.md", data_card(report).encode(errors="backslashreplace"))
