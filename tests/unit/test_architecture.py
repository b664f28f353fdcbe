"""The rules of the house, as a test: layers, budgets, no pickle, docstrings, citations, a quick command line.

Each rule is a function from a source tree to its faults. It is run on ours, which must have none, and on a bad tree made
for it, in which it must find the fault: a rule that cannot fail proves nothing.
"""

from __future__ import annotations

import ast
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

import pytest

import ganforge

SRC = Path(ganforge.__file__).parent
LAYERS = {
    **dict.fromkeys(("losses", "penalties", "distances", "constraints", "networks"), 1),
    "core": 2,
    **dict.fromkeys(("methods", "data", "metrics"), 3),
    "recipes": 4,
    **dict.fromkeys(("runs", "tasks", "tune", "serve"), 5),
    "cli": 6,
    "testing": 7,
}
"""Imports go from a higher number to a lower or the same one. `__init__` and `__main__` of the package are doors, not rooms."""
FILE, NETWORK, RECIPE, FUNCTION, STEP = 300, 250, 80, 60, 40
ARXIV = re.compile(r"arXiv:\d{4}\.\d{4,5}")
METHODS_MAY_USE = {"method", "schedule", "errors"}
"""Modules of core that a method may import: the nouns. The engine's business (ranks, precision, checkpoints) is not among them."""
ENGINES_WORDS = {"backward", "zero_grad", "autocast", "all_reduce", "get_rank", "no_sync", "GradScaler"}
HANDED_ON = {
    ("runs/start.py", "train"): "options of whichever recipe; unknown ones are refused by name",
    ("runs/finetune.py", "finetune"): "as train",
    ("testing.py", "check_recipe"): "as train",
    ("testing.py", "small_recipe"): "as train",
    ("methods/adaptive.py", "AdaptiveTwoPlayer.__init__"): "those of its parent, which refuses others",
    ("methods/adaptive.py", "RampedTwoPlayer.__init__"): "those of its parent, which refuses others",
    ("methods/controlled.py", "ControlledTwoPlayer.__init__"): "those of its parent, which refuses others",
    ("methods/autoencoding.py", "EBGAN.__init__"): "those of its parent, which refuses others",
    ("methods/autoencoding.py", "BEGAN.__init__"): "those of its parent, which refuses others",
}
"""The public functions that may take **options, and why."""
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def sources(root: Path) -> Iterator[tuple[str, ast.Module, str]]:
    """(path inside the package, tree, text) of every file."""
    for path in sorted(root.rglob("*.py")):
        text = path.read_text()
        yield path.relative_to(root).as_posix(), ast.parse(text), text


def imported(name: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Dotted names inside our package that a file imports, without the package's own name, and the line."""
    package = ["ganforge", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wholes = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            whole = ".".join(part for part in (base, node.module or "") if part)
            wholes = [f"{whole}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((whole.removeprefix("ganforge."), node.lineno) for whole in wholes if whole.startswith("ganforge."))


def called(node: ast.AST) -> str:
    """'torch.load' of a call torch.load(...); '' of anything else."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) else ""


def imports_that_go_upwards(root: Path) -> list[str]:
    faults = []
    for name, tree, _ in sources(root):
        room = name.split("/")[0].removesuffix(".py")
        if name in ("__init__.py", "__main__.py"):
            continue
        if room not in LAYERS:
            faults.append(f"{name}: '{room}' has no layer; add it to LAYERS")
            continue
        for target, line in imported(name, tree):
            other = target.split(".")[0]
            if LAYERS.get(other, 0) > LAYERS[room]:
                faults.append(f"{name}:{line}: layer {LAYERS[room]} imports {other}, layer {LAYERS[other]}")
    return faults


def business_of_others(root: Path) -> list[str]:
    """Core naming a particular method or network role; methods doing the engine's work."""
    trees = {name: tree for name, tree, _ in sources(root)}
    kinds = {
        node.name
        for name, tree in trees.items()
        if name.startswith(("methods/", "recipes/"))
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    } | {"generator", "discriminator"}
    faults = []
    for name, tree in trees.items():
        for node in ast.walk(tree):
            word = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "value", None)
            if name.startswith("core/") and isinstance(node, ast.Name | ast.Attribute | ast.Constant) and word in kinds:
                faults.append(f"{name}:{node.lineno}: core names '{word}', the business of methods and recipes")
            if name.startswith("methods/") and isinstance(node, ast.Name | ast.Attribute) and word in ENGINES_WORDS:
                faults.append(f"{name}:{node.lineno}: a method uses '{word}', the business of the engine")
        if name.startswith("methods/"):
            faults += [
                f"{name}:{line}: a method imports {target}, the business of the engine"
                for target, line in imported(name, tree)
                if target.startswith("core.") and target.split(".")[1] not in METHODS_MAY_USE
            ]
    return faults


def over_budget(root: Path) -> list[str]:
    faults = []
    for name, tree, text in sources(root):
        most = NETWORK if name.startswith("networks/") else FILE
        if name.startswith("recipes/") and name not in ("recipes/__init__.py", "recipes/base.py"):
            most = RECIPE
        if (lines := len(text.splitlines())) > most:
            faults.append(f"{name}: {lines} lines, at most {most}")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                allowed = STEP if name.startswith("methods/") and node.name == "step" else FUNCTION  # a step is an algorithm box
                if length > allowed:
                    faults.append(f"{name}:{node.lineno}: {node.name} has {length} lines, at most {allowed}")
    return faults


def options_handed_on(root: Path) -> list[str]:
    """Public functions that take `**anything`: what they accept is not to be read from their signature."""
    return [
        f"{name}:{node.lineno}: {where} takes **{node.args.kwarg.arg}; name the parameters"
        for name, tree, _ in sources(root)
        for where, node in public(tree.body)
        if node.args.kwarg and (name, where) not in HANDED_ON
    ]


def public(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """('Class.method', its node) of all functions that others may call: those of public classes too, and __init__ and its like."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_") and not node.name.endswith("__"):
                continue
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{inside}{node.name}.")
            else:
                yield f"{inside}{node.name}", node


def prints_and_exits(root: Path) -> list[str]:
    """A second Ctrl-C leaves at once (runs/signals.py); nothing else in the library ends the process or writes to the terminal."""
    allowed = {("runs/signals.py", "os._exit")}
    banned = {"print", "exit", "quit", "input", "sys.exit", "os._exit", "os.abort"}
    faults = []
    for name, tree, _ in sources(root):
        for node in ast.walk(tree):
            if name.startswith("cli/") and called(node) != "print" or (name, called(node)) in allowed:
                continue
            if called(node) in banned:
                faults.append(f"{name}:{node.lineno}: {called(node)}() in library code")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
                faults.append(f"{name}:{node.lineno}: {ast.unparse(node)} in library code")
    return faults


def ways_to_run_foreign_code(root: Path) -> list[str]:
    """Pickle in any form, and evaluation of text. Users' own .py files are run in core/ref.py alone, which asks first."""
    faults = []
    for name, tree, _ in sources(root):
        for node in ast.walk(tree):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            faults += [f"{name}:{node.lineno}: imports {m}" for m in modules if m.split(".")[0] in UNSAFE]
            if isinstance(node, ast.ImportFrom) and node.module == "torch" and {a.name for a in node.names} & {"load", "save"}:
                faults.append(f"{name}:{node.lineno}: imports torch's pickling load or save")
            call = called(node)
            if call in ("eval", "exec", "__import__", "torch.load", "torch.save"):
                faults.append(f"{name}:{node.lineno}: {call}()")
            if call.endswith("exec_module") and name != "core/ref.py":
                faults.append(f"{name}:{node.lineno}: {call}()")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
                faults.append(f"{name}:{node.lineno}: allow_pickle={ast.unparse(node.value)}")
    return faults


def swallowed_errors(root: Path) -> list[str]:
    faults = []
    for name, tree, _ in sources(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
                silent = all(
                    isinstance(line, ast.Pass | ast.Continue) or isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
                    for line in node.body
                )
                if broad and silent:
                    faults.append(f"{name}:{node.lineno}: every error is swallowed in silence")
    return faults


def undocumented(root: Path) -> list[str]:
    """Public modules, classes and functions without a docstring. Methods are exempt: their class says what they do."""
    faults = []
    for name, tree, _ in sources(root):
        if not ast.get_docstring(tree):
            faults.append(f"{name}: no docstring")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                verb = name.startswith("cli/") and node.name == "main"  # the file says what the verb does
                if not ast.get_docstring(node) and not verb:
                    faults.append(f"{name}:{node.lineno}: {node.name} has no docstring")
    return faults


def uncited(root: Path) -> list[str]:
    """Recipes whose file does not open with a paper; losses, penalties and constraints without one ("As `other`" will do)."""
    faults = []
    for name, tree, _ in sources(root):
        if name.startswith("recipes/") and name not in ("recipes/__init__.py", "recipes/base.py"):
            classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
            opening = " ".join(ast.get_docstring(node) or "" for node in (tree, *classes[:1]))
            if not ARXIV.search(opening):
                faults.append(f"{name}: does not open with its paper (arXiv:...)")
        if name in ("losses.py", "penalties.py", "constraints.py"):
            told = dict(documented(tree))
            for what, text in told.items():
                like = re.search(r"As `(\w+)`", text)
                if not ARXIV.search(text) and not (like and ARXIV.search(told.get(like[1], ""))):
                    faults.append(f"{name}: {what} cites no paper (arXiv:...)")
    return faults


def documented(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Public functions, and names assigned from a lower-case maker such as _pair(...), each with its text. Helpers are left out."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name != "per_example":
            yield node.name, ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and called(node.value) == "_pair" and isinstance(node.targets[0], ast.Name):
            constant = after.value if isinstance(after, ast.Expr) else None
            yield node.targets[0].id, str(constant.value) if isinstance(constant, ast.Constant) else ""


def slow_starts(root: Path) -> list[str]:
    """Commands that only talk must not load torch, and must take less than a second of processor time."""
    faults = []
    for words in (["--help"], ["--version"], ["list", "recipes"], ["list", "losses"]):
        program = (
            "import sys\nfrom ganforge.cli import main\n"
            f"try: main({words!r})\nexcept SystemExit as end: assert not end.code, end.code\n"
            "assert 'torch' not in sys.modules, 'loads torch'\n"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        env = os.environ | {"PYTHONPATH": str(root.parent)}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode:
            faults.append(f"gan {' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
        elif seconds >= 1:
            faults.append(f"gan {' '.join(words)} takes {seconds:.1f} s")
    return faults


RULES: dict[Callable[[Path], list[str]], list[tuple[dict[str, str], str]]] = {  # rule -> bad trees and what it must say of them
    imports_that_go_upwards: [
        ({"core/engine.py": "from ..methods.two_player import X"}, "core/engine.py:1: layer 2 imports methods"),
        ({"core/engine.py": "def f():\n    from ganforge import recipes"}, "core/engine.py:2: layer 2 imports recipes"),
        ({"losses.py": "from .core import errors"}, "layer 1 imports core"),
        ({"networks/image/dcgan.py": "import ganforge.data.spec"}, "layer 1 imports data"),
        ({"data/images.py": "if TYPE_CHECKING:\n    from ..runs import start"}, "layer 3 imports runs"),
        ({"recipes/gan.py": "from .. import testing"}, "layer 4 imports testing"),
        ({"attic/old.py": ""}, "'attic' has no layer"),
    ],
    business_of_others: [
        ({"methods/a.py": "class Twin: ...", "core/engine.py": "if isinstance(m, Twin): pass"}, "core names 'Twin'"),
        ({"core/ema.py": "x = exports['generator']"}, "core names 'generator'"),
        ({"methods/a.py": "def step(loss): loss.backward()"}, "a method uses 'backward'"),
        ({"methods/a.py": "from ..core.parallel import world"}, "a method imports core.parallel"),
    ],
    over_budget: [
        ({"data/a.py": "x = 1\n" * 301}, "301 lines, at most 300"),
        ({"networks/a.py": "x = 1\n" * 251}, "251 lines, at most 250"),
        ({"recipes/a.py": "x = 1\n" * 81}, "81 lines, at most 80"),
        ({"data/a.py": "class A:\n    def f(self):\n" + "        x = 1\n" * 60}, "f has 61 lines, at most 60"),
        ({"methods/a.py": "class A:\n    def step(self):\n" + "        x = 1\n" * 40}, "step has 41 lines, at most 40"),
    ],
    options_handed_on: [
        ({"runs/a.py": "def f(x, **options): ..."}, "f takes **options"),
        ({"methods/a.py": "class A:\n    def __init__(self, **kwargs): ..."}, "A.__init__ takes **kwargs"),
        ({"data/a.py": "class A:\n    async def f(self, **more): ..."}, "A.f takes **more"),
    ],
    prints_and_exits: [
        ({"runs/a.py": "print('hello')"}, "print() in library code"),
        ({"cli/a.py": "print('hello')"}, "print() in library code"),
        ({"runs/a.py": "import sys\nsys.exit(1)"}, "sys.exit() in library code"),
        ({"data/a.py": "import sys\nsys.stderr.write('x')"}, "sys.stderr in library code"),
    ],
    ways_to_run_foreign_code: [
        ({"runs/a.py": "import pickle"}, "imports pickle"),
        ({"runs/a.py": "from torch import load"}, "imports torch's pickling"),
        ({"runs/a.py": "torch.load(path)"}, "torch.load()"),
        ({"runs/a.py": "eval(text)"}, "eval()"),
        ({"runs/a.py": "spec.loader.exec_module(m)"}, "exec_module()"),
        ({"data/a.py": "np.load(path, allow_pickle=True)"}, "allow_pickle=True"),
    ],
    swallowed_errors: [
        ({"runs/a.py": "try: f()\nexcept Exception: pass"}, "swallowed"),
        ({"runs/a.py": "try: f()\nexcept: ..."}, "swallowed"),
    ],
    undocumented: [
        ({"runs/a.py": "x = 1"}, "runs/a.py: no docstring"),
        ({"runs/a.py": '"""A."""\nclass B: ...'}, "B has no docstring"),
        ({"runs/a.py": '"""A."""\ndef f(): ...'}, "f has no docstring"),
    ],
    uncited: [
        ({"recipes/gan.py": '"""GAN: a recipe."""'}, "does not open with its paper"),
        ({"losses.py": 'a = _pair(1, 2)\n"""A loss."""'}, "losses.py: a cites no paper"),
        ({"losses.py": "a = _pair(1, 2)"}, "losses.py: a cites no paper"),
        ({"penalties.py": 'def a():\n    """A penalty."""'}, "penalties.py: a cites no paper"),
    ],
    slow_starts: [
        ({"../torch.py": "", "cli/__init__.py": "import torch\ndef main(words): ..."}, "loads torch"),
        ({"cli/__init__.py": "import time\nwhile time.process_time() < 1.1: pass\ndef main(words): ..."}, "takes 1."),
        ({"cli/__init__.py": "def main(words): raise SystemExit(2)"}, "AssertionError: 2"),
    ],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_our_sources_have_no(rule):
    faults = rule(SRC)
    assert not faults, "\n".join(faults)


BAD = [
    pytest.param(rule, files, says, id=f"{rule.__name__}-{number}")
    for rule, trees in RULES.items()
    for number, (files, says) in enumerate(trees)
]


@pytest.mark.parametrize("rule, files, says", BAD)
def test_a_bad_tree_is_caught(rule, files, says, tmp_path):
    root = tmp_path / "ganforge"
    for name, text in {"__init__.py": '"""A package."""', **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert any(says in fault for fault in rule(root)), rule(root)


def test_whoever_may_take_options_does():
    """An exception that is not needed any more would let the next one through."""
    found = {(name, where) for name, tree, _ in sources(SRC) for where, node in public(tree.body) if node.args.kwarg}
    assert HANDED_ON.keys() <= found


def test_no_loss_or_penalty_escapes_the_rule_on_citations():
    """Should the way they are written change, `documented` would find less, and the rule would pass for nothing."""
    from ganforge import losses, penalties
    from ganforge.core import ref

    for module in (losses, penalties):
        found = {name for name, _ in documented(ast.parse(Path(module.__file__).read_text()))}
        ours = {n for n, thing in vars(module).items() if isinstance(thing, FunctionType) and thing.__module__ == module.__name__}
        wanted = {name for name in ours if not name.startswith("_")} | set(ref.names(module, losses.Pair))
        assert wanted - {"per_example"} <= found
