"""Facts about the machine: complete, shareable, and warnings that say what to do."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import tomllib
from pathlib import Path

import pytest
import torch

from ganforge.runs import environment as module
from ganforge.runs.environment import doctor, environment


def row(name):
    return next(check for check in doctor() if check[0] == name)


def test_environment_is_json_with_the_real_versions():
    found = json.loads(json.dumps(environment()))
    assert found["versions"]["torch"] == torch.__version__ and found["threads"] == torch.get_num_threads()
    assert 1 <= found["cores"] <= os.cpu_count() and found["memory_gib"] > 0
    assert all(isinstance(flag, bool) for flag in found["bf16"].values())


def test_environment_names_no_one_and_no_place():
    text = json.dumps(environment())
    for name in (socket.gethostname(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(name)}\b", text)
    assert str(Path.cwd()) not in text and (str(Path.home()) == "/" or str(Path.home()) not in text) and '"/' not in text


def test_missing_packages_are_none_and_git_is_optional(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "OPTIONAL", {"track": ("no-such-package-here",)})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = environment()
    assert found["optional"] == {"no-such-package-here": None} and found["git_commit"] is None
    assert 'pip install "ganforge[track]"' in row("extra track")[1]
    monkeypatch.setenv("PATH", "")
    assert environment()["git_commit"] is None


def test_every_extra_of_the_package_is_listed_with_what_it_brings():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    named = {extra: tuple(re.split(r"[^\w-]", need)[0] for need in needs) for extra, needs in project["optional-dependencies"].items()}
    assert named.pop("all") == ("ganforge",) and named.pop("dev"), "all the others at once, and what building the package takes"
    assert named == module.OPTIONAL
    assert all(row(f"extra {extra}") for extra in named)


def test_little_free_memory_is_a_warning(monkeypatch):
    monkeypatch.setattr(module, "memory", lambda: (2**30, 2**29))
    assert row("memory")[1:] == ("0.5 of 1.0 GiB free", "warn: less than 1 GiB is free; close programs, or train with a smaller --batch")


def test_doctor_rows_are_well_formed_and_torch_works_here():
    rows = doctor()
    assert all(isinstance(text, str) and text for check in rows for text in check)
    assert all(verdict == "ok" or verdict.startswith("warn: ") for _, _, verdict in rows)
    assert len({name for name, _, _ in rows}) == len(rows) and row("torch works")[2] == "ok"


def test_a_broken_torch_is_reported_not_raised(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("illegal instruction\nmore")

    monkeypatch.setattr(torch.nn, "Conv2d", broken)
    assert row("torch works")[1] == "no: illegal instruction" and row("torch works")[2].startswith("warn: ")


def test_a_cache_that_cannot_be_written_says_which_variable_helps(monkeypatch, tmp_path):
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "not" / "there" / "yet"))
    assert row("cache folder")[2] == "ok" and list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "file"))
    assert "GANFORGE_CACHE=" in row("cache folder")[2]


@pytest.mark.parametrize("free", [0, 10 * 2**30])
def test_a_full_disk_is_a_warning(monkeypatch, free):
    usage = type("Usage", (), {"total": 2**40, "used": 0, "free": free})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    assert row("disk here")[2].startswith("warn: ") == (free == 0)
