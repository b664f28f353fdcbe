"""Names for objects: what is found, what is refused, and the way back."""

from types import FunctionType

import pytest

from ganforge import losses, penalties
from ganforge.core import ref
from ganforge.core.errors import UsageError


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my losses.py"
    path.write_text(
        "from ganforge.losses import Pair\nwiggle = Pair(lambda r, f: f - r, lambda f, r=None: -f)\n_secret = wiggle\nnumber = 3\n"
    )
    return path


def test_a_public_name_is_found_with_hyphens_too():
    assert ref.resolve("least-squares", losses, losses.Pair) is losses.least_squares


def test_an_unknown_name_lists_what_exists_and_the_nearest():
    with pytest.raises(UsageError) as caught:
        ref.resolve("hinje", losses, losses.Pair)
    text = str(caught.value)
    assert "'hinje' is not in ganforge.losses. Did you mean 'hinge'?" in text and "path/to/file.py:hinje" in text
    assert all(name in text for name in ref.names(losses, losses.Pair))


@pytest.mark.parametrize("name", ["_pair", "__name__", "Pair", "smooth", "relu", "", "hinge.d"])
def test_private_names_and_other_kinds_are_refused(name):
    with pytest.raises(UsageError, match="is not in ganforge.losses"):
        ref.resolve(name, losses, losses.Pair)


def test_names_of_a_home_are_its_public_objects_of_that_kind():
    assert ref.names(penalties, FunctionType) == sorted(
        [
            "consistency",
            "dragan",
            "gradient_penalty",
            "lecam",
            "r1",
            "r1_finite_difference",
            "r2",
            "r2_finite_difference",
            "wgan_div",
            "zero_centered_gp",
        ]
    )


def test_every_public_name_leads_to_its_object_and_back():
    for name in ref.names(losses, losses.Pair):
        assert ref.name(ref.resolve(name, losses, losses.Pair), losses) == name


def test_a_users_object_keeps_the_name_of_its_file(own):
    found = ref.resolve(f"{own}:wiggle", losses, losses.Pair)
    name = ref.name(found, losses)
    assert name == f"{own.name}:wiggle", "no folder of this machine goes into a run's files"
    assert ref.resolve(name, losses, losses.Pair, trusted=[str(own)]) is found


def test_relative_and_home_paths_reach_the_same_file(own, monkeypatch):
    monkeypatch.chdir(own.parent)
    monkeypatch.setenv("HOME", str(own.parent))
    found = ref.resolve(f"{own}:wiggle", losses, losses.Pair)
    assert ref.resolve("my losses.py:wiggle", losses, losses.Pair) is found
    assert ref.resolve("~/my losses.py:wiggle", losses, losses.Pair, trusted=["my losses.py:anything"]) is found


@pytest.mark.parametrize(
    ("what", "text"), [("_secret", "is not in my losses.py"), ("number", "is not in my losses.py"), ("wigle", "'wiggle'")]
)
def test_private_foreign_and_misspelt_names_in_a_users_file_are_refused(own, what, text):
    with pytest.raises(UsageError, match=text):
        ref.resolve(f"{own}:{what}", losses, losses.Pair)


def test_a_missing_file_a_folder_and_another_kind_of_file_are_named(tmp_path):
    (tmp_path / "notes.txt").write_text("hinge")
    for name, text in (("nothing.py", "there is no file"), (".", "there is no file"), ("notes.txt", "is not a Python file")):
        with pytest.raises(UsageError, match=text):
            ref.resolve(f"{tmp_path / name}:x", losses, losses.Pair)


@pytest.mark.parametrize("code", ["1 / 0", "def broken(:", "import nothing_of_that_name"])
def test_a_users_file_that_fails_is_named_and_not_remembered(tmp_path, code):
    path = tmp_path / "bad.py"
    path.write_text(code)
    with pytest.raises(UsageError, match=r"bad.py could not be run: \w+Error"):
        ref.resolve(f"{path}:x", losses, losses.Pair)
    path.write_text("from ganforge.losses import hinge as x")
    assert ref.resolve(f"{path}:x", losses, losses.Pair) is losses.hinge


def test_a_file_is_run_once(tmp_path):
    path = tmp_path / "count.py"
    path.write_text(f"from ganforge.losses import hinge as x\nopen({str(tmp_path / 'log')!r}, 'a').write('.')\n")
    for _ in range(3):
        ref.resolve(f"{path}:x", losses, losses.Pair)
    assert (tmp_path / "log").read_text() == "."


def test_an_object_without_a_name_is_refused():
    with pytest.raises(UsageError, match="has no name that a run folder could keep"):
        ref.name(losses.Pair(lambda r, f: r, lambda f, r=None: f), losses)


def test_a_name_of_ours_in_a_users_file_is_remembered_by_ours(tmp_path):
    """`from ganforge.losses import hinge as mine` is hinge: a run that used it needs no --code."""
    path = tmp_path / "alias.py"
    path.write_text("from ganforge.losses import wasserstein as mine")
    assert ref.name(ref.resolve(f"{path}:mine", losses, losses.Pair), losses) == "wasserstein"


def test_the_origin_of_an_object_that_is_gone_is_not_given_to_another(own):
    """Ids are used again: a new object must never inherit the name of one that was collected."""
    found = ref.resolve(f"{own}:wiggle", losses, losses.Pair)
    for _ in range(1000):
        fresh = losses.Pair(found.d, found.g)
        with pytest.raises(UsageError):
            ref.name(fresh, losses)
