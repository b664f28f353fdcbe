"""What the documents say is true: links resolve, commands parse, snippets and examples run, tables are complete."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import ganforge
from ganforge import cli
from ganforge.core import errors
from ganforge.core.run import Run
from ganforge.data import builtin
from ganforge.data.images import Images
from ganforge.recipes import NAMES, find

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
TINY = {
    "examples": 32,
    "batch": 16,
    "z": 8,
    "width": 8,
    "threads": 1,
    "precision": "fp32",
    "layout": "contiguous",
    "snapshots": 1,
    "device": "cpu",
}
NOT_RUN = "<!-- not run"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    heading: str
    before: str
    """The last line above it that is not empty."""


def blocks(page: Path) -> Iterator[Block]:
    heading = before = language = ""
    lines: list[str] | None = None
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            if lines is None:
                lines, language = [], line[3:].strip()
            else:
                yield Block(language, "\n".join(lines) + "\n", heading, before)
                lines = None
        elif lines is not None:
            lines.append(line)
        elif line.strip():
            heading, before = (line.lstrip("# ") if line.startswith("#") else heading), line


def commands(page: Path) -> Iterator[str]:
    """Every `gan ...` (or torchrun ... -m ganforge ...) of a page, in shell blocks and in the text."""
    shell = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for line in shell + re.findall(r"`([^`\n]+)`", prose):
        if found := re.match(r"\s*(?:gan|(?:torchrun .*|python )-m ganforge) (.+)", line):
            yield found[1]


def wrong_with(command: str) -> str:
    """What is wrong with the words after `gan`; '' for nothing."""
    words = [w for w in shlex.split(command, comments=True) if w != "..."]
    verb, rest = words[0], words[1:]
    if words in (["--help"], ["--version"]) or verb == "COMMAND":
        return ""
    if verb not in cli.VERBS:
        return f"there is no verb {verb}"
    module = importlib.import_module(f"ganforge.cli.{verb}")
    if verb == "train":
        options = [w for w in rest[1:] if w not in ("--dry-run", "--help")]
        name, options = module._take(options, "--recipe", "restore" if "--task" in options else "auto")
        try:
            module.parse(name, rest[0] if rest else "DATA", options)
        except (SystemExit, errors.UsageError) as error:
            return f"does not parse: {error}"
        return ""
    known = {"--help", "-h"}
    if verb == "finetune":  # its options are those of the model's recipe
        known |= {"--freeze-discriminator", "--code", "--dry-run", *(f"--{name.replace('_', '-')}" for name in options_of_every_recipe())}
    if verb in ("generate", "resume", "evaluate", "compare", "degrade", "apply", "preview", "blend"):
        parameters = inspect.signature(getattr(module, verb)).parameters
        known |= {f"--{'class' if name == 'category' else name.replace('_', '-')}" for name in parameters if name != "run"}
    if verb == "check":
        known |= {"--out", *(f"--{field.name.replace('_', '-')}" for field in fields(Images))}
    unknown = [w for w in rest if w.startswith("--") and w not in known]
    if verb == "list" and rest and rest[0] not in module.WHAT:
        unknown.append(rest[0])
    return f"unknown: {', '.join(unknown)}" if unknown else ""


def options_of_every_recipe() -> set[str]:
    found = set()
    for recipe in map(find, NAMES):
        for kind in (recipe, Images, Run):
            found |= {field.name for field in fields(kind)}
    return found


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r'(?:src|href)="([^"]+)"', text)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / path if path else page
        if not target.exists() or anchor and anchor not in anchors(target):
            broken.append(f"{page.name}: {link}")
    return broken


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty current folder with a few photos, where every training is tiny."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(12):
        Image.fromarray(draw.integers(0, 255, (40, 40, 3), np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    real = ganforge.train
    given = itertools.count(1)

    def train(data, recipe="auto", **options):
        options = {**TINY, **{key: value for key, value in options.items() if key != "minutes"}}
        return real(data, recipe, **{"out": f"run-{next(given)}", **options})

    monkeypatch.setattr(ganforge, "train", train, raising=False)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert not broken_links(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_and_their_options_parse(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in [b for b in blocks(ROOT / "docs" / "extending.md") if b.text.startswith("# my.py\n")]:
        with (tmp_path / "my.py").open("a") as file:  # all the names of all the sections
            file.write(block.text)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    wrong = {command: fault for command in commands(page) if (fault := wrong_with(command))}
    assert not wrong


def test_the_checks_of_pages_can_fail(tmp_path):
    for command in ("trian photos/", "train photos/ --lerning-rate 1", "generate RUN --seed 3", "list loses", "train x --recipe dcgn"):
        assert wrong_with(command), command
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n[a](missing.md) [b](#a-page) [c](#nowhere) [d](https://example.org/x)\n```sh\ngan trian x  # no\n```\nor `gan lits`\n"
    )
    assert broken_links(page) == ["page.md: missing.md", "page.md: #nowhere"]
    assert list(commands(page)) == ["trian x  # no", "lits"]


SECTIONS = itertools.groupby(blocks(ROOT / "docs" / "extending.md"), key=lambda block: block.heading)


@pytest.mark.parametrize("section", [pytest.param(list(found), id=heading) for heading, found in SECTIONS])
def test_snippets_on_extending_run(section, workplace, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tiny = [word for key, value in TINY.items() for word in (f"--{key}", str(value))]
    for block in section:
        if block.language == "python":
            (workplace / block.text.splitlines()[0].removeprefix("# ")).write_text(block.text)
        for line in block.text.splitlines() if block.language == "sh" else []:
            words = shlex.split(line)[1:]
            with pytest.raises(SystemExit) as end:
                cli.main([*words, *tiny] if words[0] == "train" else words)
            assert not end.value.code, line
    for path in workplace.glob("test_*.py"):
        for name, check in vars(imported(path)).items():
            if name.startswith("test_"):
                check(workplace / "checked")


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/python-api.md"])
def test_python_on_other_pages_runs(page, workplace):
    scope: dict = {}
    found = [b for b in blocks(ROOT / page) if b.language == "python" and not b.before.startswith(NOT_RUN)]
    assert found
    for block in found:
        exec(compile(block.text, page, "exec"), scope)


def imported(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path, workplace):
    module = imported(path)
    assert len(path.read_text().splitlines()) <= 60
    if path.stem == "generate_grid":
        run = ganforge.train("digits", "dcgan")
        with Image.open(module.main(str(run.folder), "grid.png")) as picture:
            assert picture.width > 8 * 8
        return
    made = module.main("digits")
    if isinstance(made, Path):
        with Image.open(made) as picture:
            assert picture.width > 64
    else:
        assert made.generate(seeds=[0])[0].size == (8, 8)


def test_everything_that_can_be_listed_is_listed(capsys):
    for what in importlib.import_module("ganforge.cli.list").WHAT:
        with pytest.raises(SystemExit) as end:
            cli.main(["list", what])
        assert not end.value.code and capsys.readouterr().out.strip(), what


def test_tables_are_complete():
    text = {page.name: page.read_text() for page in PAGES}
    for page in ("recipes.md", "README.md"):
        assert [name for name in NAMES if f"`{name}`" not in text[page]] == [], page
    assert [verb for verb in cli.VERBS if f"gan {verb}" not in text["cli.md"]] == []
    assert [name for name in builtin.NAMES if f"`{name}`" not in text["data.md"]] == []
    assert [f.name for f in fields(Images) if f"`--{f.name.replace('_', '-')}`" not in text["data.md"]] == []
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GanforgeError)]
    assert [kind for kind in kinds if f"| {kind.exit_code} |" not in text["cli.md"]] == []


def test_the_page_on_run_folders_names_every_file(workplace):
    run = ganforge.train("digits", "dcgan")
    text = (ROOT / "docs" / "run-folder.md").read_text()
    patterns = [re.sub(r"\*", "[^/]*", name) for name in re.findall(r"`([\w*./]+)`", text)]
    files = [path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()]
    assert [name for name in files if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []


@pytest.mark.parametrize("field", ["recipe", "networks", "loss", "penalty", "optimizer"])
def test_a_model_from_a_stranger_runs_no_code(field, workplace):
    """SECURITY.md's promise: whatever its config.json says."""
    run = ganforge.train("digits", "dcgan", penalty=["r1"])
    (workplace / "evil.py").write_text("import ganforge\nganforge.was_here = True\n")
    config = json.loads((run.folder / "best" / "config.json").read_text())
    place, name = (config, "recipe") if field == "recipe" else (config["fields"], field)
    place[name] = ["evil.py:Evil"] if field == "penalty" else "evil.py:Evil"
    (run.folder / "best" / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.GanforgeError):
        ganforge.load(run.folder)
    assert not hasattr(ganforge, "was_here"), vars(ganforge).pop("was_here")
