"""The model card: what a model is, what it learnt from and what it must not be used for, as best/README.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

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
```

The folder holds `model.safetensors` (weights) and `config.json`. No pickle: loading it runs no code.

## Intended use

_To be filled in by the author: what is it for, and for whom?_

Good for: study, play, more examples like the training data after a check by a person.
Not for: passing off its output as real, identifying or imitating people, decisions about people.

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

- It repeats what its training data holds, gaps and prejudices included, and shows rare things more rarely still.
- It can reproduce training examples. Look at the nearest training images before you publish samples of private data.
- Samples differ in quality, and a metric is a number about many of them, not about one.
- It has learnt one size and one kind of example and knows nothing else.

## Provenance

Outputs are AI-generated. Keep the marks that Ganforge writes into image files, and label what you publish: in many
places the law asks for it (in the European Union: AI Act, article 50).
"""


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
        more = f", ... ({len(names)} in all)" if len(names) > 20 else ""
        facts["Classes"] = ", ".join(_safe(name) for name in names[:20]) + more
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
    image = len(shape) == 3
    tags = ["gan", "ganforge", "ai-generated", *(["image-generation"] if image else []), re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:60]]
    notes = plan.get("notes")
    metrics = {_safe(k): _safe(f"{v:.4g}" if isinstance(v, (int, float)) else v) for k, v in _dict(status.get("metrics")).items()}
    return TEMPLATE.format(
        pipeline="unconditional-image-generation" if image else "other",
        tags=json.dumps(list(dict.fromkeys(tags))),
        title=_safe(_last(folder) if status.get("folder") else f"{_last(_source(recipe))}: generated"),
        recipe=re.sub(r"[`\s]+", " ", name),
        path=json.dumps(folder),
        data=_data(recipe),
        procedure=_procedure(recipe, plan, status),
        notes="\nChosen because:\n\n" + "\n".join(f"- {_safe(note)}" for note in notes) + "\n" if isinstance(notes, list) and notes else "",
        results=_bullets(metrics)
        or "Not measured yet. _To be filled in by the author: which metric, on how many samples, with what result?_",
    )
