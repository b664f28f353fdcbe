"""The `gan` command: what it says, what it refuses and with which exit code. Words: tests/snapshots (UPDATE_SNAPSHOTS=1 renews them)."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

import ganforge
from ganforge import cli, recipes
from ganforge.cli.compare import compare
from ganforge.cli.evaluate import evaluate
from ganforge.cli.generate import generate, parse_seeds
from ganforge.cli.options import of_dataclass, of_function
from ganforge.cli.resume import resume
from ganforge.core import machine
from ganforge.core import recipe as recipes_json
from ganforge.core.errors import CheckpointError, DataError, DivergedError, StorageError, UsageError
from ganforge.runs import about
from ganforge.runs.folder import Folder
from ganforge.runs.lock import alone

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
TINY = ("--recipe", "dcgan", "--width", "8", "--z", "8", "--batch", "16", "--precision", "fp32", "--layout", "contiguous", "--threads", "1")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)


@pytest.fixture
def gan(capfd):
    """Runs the command in this process: (exit code, standard output, standard error)."""

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        out, err = capfd.readouterr()
        code = left.value.code
        assert "Traceback" not in err
        return (0 if code is None else code), out, err

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "speed", lambda *a, **k: 1000.0)
        out = tmp_path_factory.mktemp("cli") / "run"
        options = {"width": 8, "z": 8, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1, "examples": 32}
        return ganforge.train("digits", "dcgan", out=out, **options).folder


def matches(name, text):
    """`text` equals the snapshot; with UPDATE_SNAPSHOTS=1 it becomes the snapshot."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text)
    assert path.exists(), f"no {path}: run the tests once with UPDATE_SNAPSHOTS=1 and read what it wrote"
    assert text == path.read_text()


# ---- words


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_overview_is_as_agreed(gan, words):
    code, out, err = gan(*words)
    assert code == 0 and err == ""
    matches("gan_help", out)


def test_the_help_of_train_lists_every_option_with_its_default(gan):
    code, out, _ = gan("train", "--help", "--recipe", "dcgan")
    assert code == 0
    rows = re.findall(r"^│ (--[\w-]+)(.*?)(?=^│ --|^╰)", out, re.MULTILINE | re.DOTALL)
    options = {name: re.sub(r"[│\s]+", " ", text) for name, text in rows}
    matches("gan_train_options", "".join(f"{name}\n" for name in options))
    for name, text in options.items():
        assert "default:" in text.replace("- ", "-"), f"{name} does not say its default"
    matches("gan_train_usage", out.split("╭")[0])


ERRORS = {
    "command": ("trian",),
    "recipe": ("train", "digits", "--recipe", "dcgann"),
    "data": ("train", "digitz"),
    "folder": ("train", "photos/of/cats"),
    "nothing": ("train",),
    "size": ("train", "digits", "--size", "30"),
    "loss": ("train", "digits", "--loss", "hinje"),
    "penalty": ("train", "digits", "--penalty", "r1", "r3"),
    "batch": ("train", "digits", "--batch", "-1"),
    "accumulate": ("train", "digits", "--batch", "10", "--accumulate", "3"),
    "precision": ("train", "digits", "--precision", "fp16"),
    "pack": ("train", "digits", "--pack", "2", "--dry-run"),
    "seeds": ("generate", "runs/x", "--seeds", "5-2"),
    "model": ("generate", "runs/x"),
    "run": ("resume", "runs/x"),
    "list": ("list", "recipies"),
    "info": ("info",),
    "option": ("train", "digits", "--recipe", "dcgan", "--widht", "8"),
    "option_generate": ("generate", "runs/x", "--seed=3"),
    "degrade": ("degrade",),
    "preset": ("degrade", "hash", "photos"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_clear_sentence_as_agreed(gan, name):
    code, out, err = gan(*ERRORS[name])
    assert code in (2, 6) and err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
    matches(f"error_{name}", f"exit {code}\n{err}")


def test_every_snapshot_belongs_to_a_test():
    known = {"gan_help", "gan_train_options", "gan_train_usage", *(f"error_{name}" for name in ERRORS)}
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == known


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("train", "digits", "--recipy", "dcgan"),
            "unknown option --recipy. Did you mean --recipe? `gan train DATA --help` lists them all.",
        ),
        (("train", "digits", "--recipe", "dcgan", "--recipe=gan"), "--recipe is given twice."),
        (("train", "digits", "--recipe", "dcgan", "--no-width"), "unknown option --no-width."),
        (("train", "digits", "--recipe", "dcgan", "--xyzzy"), "unknown option --xyzzy. `gan train DATA --recipe dcgan --help`"),
        (("check", "digits", "--dedupe"), "unknown option --dedupe. Did you mean --dedup? `gan check DATA --help`"),
        (("resume", "runs/x", "--no-force", "--code", "a.py", "--devise", "cpu"), "unknown option --devise. Did you mean --device?"),
        (("evaluate", "runs/x", "--metric", "fid"), "unknown option --metric. Did you mean --metrics? `gan evaluate --help`"),
        (("compare", "runs/x", "runs/y", "--sampels=9"), "unknown option --sampels. Did you mean --samples?"),
    ],
)
def test_a_misspelt_option_gets_the_nearest_in_one_sentence(gan, words, says):
    code, out, err = gan(*words)
    assert code == 2 and out == "" and err.startswith(f"error: {says}") and err.count("\n") == 1


def test_a_misspelt_option_of_finetune_gets_the_nearest_too(gan, trained):
    for wrong, right in (("--freeze-discriminatr", "--freeze-discriminator"), ("--widht", "--width")):
        code, _, err = gan("finetune", trained, "digits", wrong, "1")
        assert code == 2 and f"unknown option {wrong}. Did you mean {right}? `gan finetune MODEL DATA --help`" in err


def test_underscores_switches_and_values_after_an_equals_sign_are_no_mistakes(gan):
    words = ("--save_minutes", "0", "--no_strict", "--no-compile", "--out=--odd", "--examples=32", "--dry-run")
    code, out, err = gan("train", "digits", *TINY, *words)
    assert (code, err) == (0, "") and "dry run" in out


@pytest.mark.parametrize("name", recipes.NAMES)
def test_the_names_that_are_known_are_those_that_help_lists(gan, name):
    recipe = recipes_json.on(recipes.find(name), "digits")
    assert of_dataclass(recipe) | {"help"} == listed(gan("train", "--help", "--recipe", name)[1])


@pytest.mark.parametrize("verb", [generate, resume, evaluate, compare])
def test_the_names_that_are_known_of_a_function_are_those_that_help_lists(gan, verb):
    assert of_function(verb) | {"help"} == listed(gan(verb.__name__, "--help")[1])


def listed(text):
    """Every spelling of the options in a help text, that is what opens a row: '--flip, --no-flip'."""
    rows = re.findall(r"^│ ((?:--?[\w-]+(?:, )?)+)", text, re.MULTILINE)
    return {spelling.removeprefix("--") for row in rows for spelling in row.split(", ") if spelling.startswith("--")}


def test_a_word_for_a_number_names_the_option(gan):
    code, _, err = gan("train", "digits", "--recipe", "dcgan", "--width", "wide")
    assert code == 2 and "--width" in err and "wide" in err


def test_the_version_is_told(gan):
    assert gan("--version") == (0, f"ganforge {ganforge.__version__}\n", "")


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_command_explains_itself(gan, verb):
    code, out, err = gan(verb, "--help")
    assert code == 0 and f"gan {verb}" in out and err == ""


# ---- exit codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (DataError("x"), 3),
        (DivergedError("x"), 4),
        (StorageError("x"), 5),
        (CheckpointError("x"), 6),
        (PermissionError(13, "Permission denied", "f"), 5),
        (OSError(28, "No space left on device"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_fault_has_its_exit_code_and_no_traceback(gan, monkeypatch, error, code):
    def fail(arguments):
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    got, _, err = gan("anything")
    assert got == code and (isinstance(error, KeyboardInterrupt) or err.startswith("error: ") and str(error) in err)


def test_debug_shows_the_traceback(monkeypatch):
    with pytest.raises(UsageError, match="dcgann"):
        cli.main(["train", "digits", "--recipe", "dcgann", "--debug"])


def test_a_fault_of_ours_is_not_dressed_up(monkeypatch):
    monkeypatch.setattr(cli, "_run", lambda arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["anything"])


def test_a_diverged_run_exits_with_four_and_keeps_its_folder(gan):
    code, _, err = gan(
        "train",
        "digits",
        *TINY,
        "--networks",
        "mlp",
        "--loss",
        "least_squares",
        "--optimizer",
        "SGD",
        "--lr",
        "1e30",
        "--examples",
        "160",
        "--out",
        "run",
    )
    assert code == 4 and err.startswith("error: training diverged:") and Path("run/recipe.json").exists()


def test_data_that_cannot_be_used_exits_with_three(gan):
    Path("photos").mkdir()
    for name in ("a.png", "b.jpg"):
        Path("photos", name).write_text("no image")
    code, _, err = gan("train", "photos")
    assert code == 3 and "0 of 2 files can be used" in err and "a.png" in err


# ---- train


@pytest.mark.parametrize("option", ["examples", "minutes"])
@pytest.mark.parametrize("value", [0, -3])
def test_a_budget_of_nothing_is_refused(gan, option, value):
    code, out, err = gan("train", "digits", *TINY, f"--{option}", value)
    assert code == 2 and out == "" and err.startswith(f"error: --{option} must be ") and err.count("\n") == 1 and str(value) in err
    with pytest.raises(UsageError, match=f"--{option} must be .*; got {value}"):
        ganforge.train("digits", **{option: value})
    assert os.listdir() == []


def test_a_dry_run_writes_nothing(gan):
    code, out, err = gan("train", "digits", *TINY, "--examples", "64", "--dry-run")
    assert code == 0 and "dry run: nothing was trained or written." in out and os.listdir() == []


def test_a_run_lands_in_the_next_free_folder_and_says_what_to_do_next(gan):
    for number in (1, 2):
        code, out, err = gan("train", "digits", *TINY, "--examples", "32")
        assert code == 0 and err == "" and f"gan generate runs/digits-00{number} --seeds 0-63" in out


def test_recipe_may_be_given_anywhere_and_with_an_equals_sign(gan):
    for words in (("--recipe=dcgan", "digits"), ("digits", "--recipe", "dcgan"), ("--recipe", "dcgan", "digits")):
        code, out, _ = gan("train", *words, *TINY[2:], "--examples", "16", "--dry-run")
        assert code == 0 and "recipe dcgan" in out


def test_control_characters_in_names_do_not_reach_the_terminal(gan):
    folder = Path("ph\x1b[31moto\n s")
    folder.mkdir()
    from PIL import Image

    for i in range(3):
        Image.new("L", (8, 8), 80 * i).save(folder / f"{i}.png")
    code, out, err = gan("train", folder, *TINY, "--examples", "16")
    assert code == 0 and "\x1b" not in out + err
    assert "\x1b" not in Path(next(Path("runs").iterdir()), "log.txt").read_text()


# ---- generate


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("1,5,9-12", [1, 5, 9, 10, 11, 12]),
        (" 1 , 2-3 ", [1, 2, 3]),
        ("4-4", [4]),
        ("2,2", [2, 2]),
        ("007", [7]),
    ],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,", ",", "5-2", "-1", "1-", "-", "1.5", "1 2", "1--2", "0x10", "1-2-3", "9" * 19, "٣²"])
def test_other_seeds_are_refused_with_examples(text):
    with pytest.raises(UsageError, match="(?s)neither a number nor a range. Examples: 7, 0-63, or 1,5,9-12"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0-10000000", "0-9000000,10000000-19000000"])
def test_too_many_seeds_are_refused(text):
    with pytest.raises(UsageError, match="more than ten million images"):
        parse_seeds(text)


def test_images_are_named_by_seed_and_marked(gan, trained):
    from PIL import Image

    code, out, _ = gan("generate", trained, "--seeds", "3,12-13", "--out", "my samples", "--class", "4", "--grid")
    assert code == 0 and out == "3 images in my samples\n"
    assert sorted(os.listdir("my samples")) == ["grid.png", "seed0003.png", "seed0012.png", "seed0013.png"]
    assert '"seed": 12' in Image.open("my samples/seed0012.png").text["ganforge"]


def test_generating_again_and_elsewhere_gives_the_same_files(gan, trained):
    gan("generate", trained, "--seeds", "0-4", "--out", "a")
    gan("generate", trained / "best", "--seeds", "4", "--out", "b")
    before = {p.name: p.read_bytes() for p in Path("a").iterdir()}
    gan("generate", trained, "--seeds", "0-4", "--out", "a")
    assert {p.name: p.read_bytes() for p in Path("a").iterdir()} == before
    assert Path("b/seed0004.png").read_bytes() == before["seed0004.png"]


def test_a_class_of_another_model_is_refused_and_nothing_is_written(gan, trained):
    code, _, err = gan("generate", trained, "--class", "eleven")
    assert code == 2 and "'eleven' is not a class of this model" in err and not any(Path("samples").glob("*"))


def test_a_file_in_the_way_is_a_storage_error(gan, trained):
    Path("samples").touch()
    code, _, err = gan("generate", trained)
    assert code == 5 and "could not be written to samples" in err


# ---- list, info, doctor


def test_recipes_are_listed_with_what_they_are(gan):
    code, out, _ = gan("list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == list(recipes.NAMES)
    assert gan("list", "recipes")[1] == out
    assert not [line for line in out.splitlines() if line.count("(") != line.count(")")], "whole sentences"


@pytest.mark.parametrize(("what", "some"), [("losses", "hinge"), ("penalties", "r1"), ("networks", "dcgan_plain"), ("data", "digits")])
def test_parts_are_listed_with_a_sentence_each(gan, what, some):
    code, out, _ = gan("list", what)
    rows = dict(line.split(None, 1) if " " in line.strip() else (line.strip(), "") for line in out.splitlines())
    assert code == 0 and some in rows and rows[some]


def test_listed_names_are_the_names_that_options_take(gan):
    from types import FunctionType

    from ganforge import losses, penalties
    from ganforge.core import ref
    from ganforge.networks import image

    for what, home, kind in (("losses", losses, losses.Pair), ("penalties", penalties, FunctionType), ("networks", image, image.Networks)):
        assert sorted(line.split()[0] for line in gan("list", what)[1].splitlines()) == ref.names(home, kind)


def test_every_built_in_set_is_listed(gan):
    from ganforge.data.builtin import NAMES

    assert [line.split()[0] for line in gan("list", "data")[1].splitlines()] == list(NAMES)


def test_runs_are_listed(gan):
    assert gan("list", "runs") == (0, "nothing yet\n", "")
    for number, (name, seen) in enumerate({"done": 640, "cut": 320, "lost": 320, "busy": 320}.items()):
        begun(Path("runs", name), seen, at=number)
    Path("runs/lost/log.txt").write_text("run\nerror: training diverged: a loss. Try --lr 1e-5.\n")
    Path("runs/done/best").mkdir()
    Path("runs/done/best/config.json").write_text('{"seen": 512, "metrics": {"KID-random": 0.0125, "the same of real images": 0.001}}')
    for name, content in (("empty", ""), ("foreign", "[]")):
        begun(Path("runs", name), 0, at=9).write_text(content)
        os.utime(Path("runs", name, "recipe.json"), (9, 9))
    with alone(Folder(Path("runs/busy"))):
        code, out, err = gan("list", "runs")
    assert (code, err) == (0, "")
    assert [re.split(r"  +", line) for line in out.splitlines()] == [
        ["run", "recipe", "data", "images seen", "state", "best"],
        ["runs/foreign", "damaged"],
        ["runs/empty", "damaged"],
        ["runs/busy", "dcgan", "digits", "320 of 640", "running"],
        ["runs/lost", "dcgan", "digits", "320 of 640", "diverged"],
        ["runs/cut", "dcgan", "digits", "320 of 640", "stopped"],
        ["runs/done", "dcgan", "digits", "640 of 640", "finished", "KID-random 0.0125"],
    ]


def begun(folder, seen, at):
    """A folder as a run of 640 images leaves it that began at second `at` and was cut off while it wrote; its recipe.json."""
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(json.dumps({"seen": seen, "seconds": 5.0}) + '\n{"seen": 9')
    recipe = folder / "recipe.json"
    recipe.write_text(json.dumps({"recipe": "dcgan", "fields": {"data": {"path": "digits"}, "run": {"examples": 640}}}))
    os.utime(recipe, (at, at))
    return recipe


def test_a_run_that_died_is_not_running_and_its_last_checkpoint_counts(tmp_path):
    begun(tmp_path / "run", 320, at=0)
    (tmp_path / "run/RUNNING.lock").write_text("process 1 on nowhere")
    (tmp_path / "run/ckpt").mkdir()
    (tmp_path / "run/ckpt/LATEST").write_text("000000000352")
    found = about.read(tmp_path / "run")
    assert (found.state, found.seen, found.last["seconds"], found.best) == ("stopped", 352, 5.0, None)


def test_listing_loads_no_torch():
    import subprocess

    code = "import sys\nfrom ganforge.cli import _run\nfor words in ('list', '--help', 'list runs'): _run(words.split())\n"
    code += "assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


def test_info_tells_how_far_and_what_next(gan, trained):
    code, out, _ = gan("info", trained)
    assert code == 0 and "dcgan on digits" in out and "32 of 32 images seen (100%)" in out and f"gan generate {trained}" in out
    told = dict(line.split(None, 1) for line in out.splitlines()[1:])
    assert told["data"] == "1,498 examples of 8x8, grey, 10 classes" and told["best"].endswith(" at 32 images")
    assert "--z 8 --width 8 --batch 16 " in told["options"] and "--beta1" not in told["options"] and "--out" not in told["options"]
    assert told["files"] == "best/ (the model), report.html, samples/, ckpt/ (checkpoints), log.txt" and "{" not in out


def test_info_on_a_model_tells_what_it_is_and_how_to_use_it(gan, trained):
    code, out, _ = gan("info", trained / "best")
    assert code == 0 and out.startswith(f"{trained / 'best'}: a trained model of dcgan on digits\n")
    assert "32 of 32 images seen (100%)" in out and f"next      gan generate {trained / 'best'}" in out


def test_info_for_programs_is_json(gan, trained):
    for words in (("info", trained, "--json"), ("info", "--json", trained)):
        found = json.loads(gan(*words)[1])
        assert (found["state"], found["seen"], found["total"]) == ("finished", 32, 32)
        assert found["recipe"] == json.loads((trained / "recipe.json").read_text())
        assert found["plan"]["notes"] and found["last"]["step"] == 2 and found["best"]["metric"].startswith("KID-")
    assert json.loads(gan("info", trained / "best", "--json")[1])["recipe"]["sha256"]
    code, _, err = gan("info", trained, "--jsn")
    assert code == 2 and "unknown option --jsn. Did you mean --json?" in err


def test_info_on_what_went_wrong_says_why_and_what_to_type(gan, trained):
    import shutil

    shutil.copytree(trained, "run")
    recipe = json.loads(Path("run/recipe.json").read_text())
    recipe["fields"]["run"]["examples"] = 320
    Path("run/recipe.json").write_text(json.dumps(recipe | {"recipe": "/not/here.py:Mine"}))
    out = gan("info", "run")[1]
    assert "a stopped run of /not/here.py:Mine on digits" in out and "32 of 320 images seen (10%)" in out
    assert "next      gan resume run\n" in out and "--beta1 0.5" in out, "the defaults of another's recipe are not known"
    with Path("run/log.txt").open("a") as file:
        file.write("error: training diverged: a \x1bloss. Try, one at a time: --lr 1e-05.\n")
    out = gan("info", "run")[1]
    assert "a diverged run" in out and "why       training diverged: a ?loss. Try, one at a time: --lr 1e-05." in out
    assert "next      gan train digits --recipe /not/here.py:Mine, with one of the changes above" in out


@pytest.mark.parametrize("content", ["[]", "{}", '{"fields": 3, "recipe": "x"}', "nonsense"])
def test_info_on_garbled_files_is_an_error_in_words(gan, content):
    for name in ("recipe.json", "plan.json"):
        Path(name).write_text(content)
    code, _, err = gan("info", ".")
    assert code == 6 and err.startswith("error: ")


def test_doctor_checks_this_machine(gan):
    code, out, _ = gan("doctor")
    assert code == 0 and "torch works" in out and "yes, on cpu" in out
    assert gan("doctor", "please")[0] == 2
