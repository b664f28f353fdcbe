"""Compiled networks train only where they are proven equal to the plain ones."""

import shutil
from functools import partial

import pytest
import torch
from torch import nn

from ganforge import losses, penalties
from ganforge.core import machine
from ganforge.core.engine import iterate, seed_step
from ganforge.core.method import Progress
from ganforge.methods.two_player import Penalty

from .toys import two_player

BATCH = {"x": torch.randn(8, 2, generator=torch.Generator().manual_seed(1))}
CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")


def make(**options):
    torch.manual_seed(0)
    return two_player(losses.wasserstein, partial(torch.optim.SGD, lr=0.1), critic_steps=2, **options)


@needs_compiler
def test_compiled_networks_with_a_penalty_differentiated_twice_are_taken_and_train_as_the_plain_ones_do():
    with_r1 = partial(make, penalties=[Penalty(penalties.r1, 2.0)])
    plain, fast = with_r1(), with_r1()
    said = machine.compile_networks(fast, with_r1, BATCH, CPU, "fp32")
    assert said.startswith("compiled") and fast.discriminator._compiled_call_impl and fast.generator._compiled_call_impl
    for step in range(4):
        for method in (plain, fast):
            seed_step(0, 0, step)
            iterate(method, [BATCH], Progress(step, 8 * step, 32))
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("wrong", ["generator", "discriminator"])
def test_a_compiler_that_gets_one_networks_gradients_wrong_is_refused(monkeypatch, wrong):
    """Its images and logits are right. The generator's gradient is not asked for before the second step."""
    size = {"generator": 2, "discriminator": 1}[wrong]

    def compile_badly(network):
        def call(*args):
            out = network._call_impl(*args)
            return out + 0.1 * (out - out.detach()) if network.body[-1].out_features == size else out

        network._compiled_call_impl = call

    monkeypatch.setattr(nn.Module, "compile", compile_badly)
    method = make()
    assert machine.compile_networks(method, make, BATCH, CPU, "fp32").startswith("not compiled: the compiled networks' gradients differ")
    assert method.generator._compiled_call_impl is None


def test_a_compiler_that_gets_nothing_wrong_but_rounding_is_taken(monkeypatch):
    def compile_well(network):
        network._compiled_call_impl = lambda *args: network._call_impl(*args) * (1 + 1e-6)

    monkeypatch.setattr(nn.Module, "compile", compile_well)
    assert machine.compile_networks(make(), make, BATCH, CPU, "fp32").startswith("compiled")


def test_a_compiler_that_fails_is_told_and_training_goes_on_without_it(monkeypatch):
    def fail(network):
        raise RuntimeError("no such instruction\nand more")

    monkeypatch.setattr(nn.Module, "compile", fail)
    said = machine.compile_networks(make(), make, BATCH, CPU, "fp32")
    assert said == "not compiled: the compiler failed on these networks (RuntimeError: no such instruction)"
