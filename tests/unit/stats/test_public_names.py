"""The kernel's public names: each package exports what it has, and no function hides the module that it comes from."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import heartify.stats

PACKAGES = [
    "heartify.stats",
    *(f"heartify.stats.{m.name}" for m in pkgutil.iter_modules(heartify.stats.__path__) if m.ispkg),
]
# A plain verb for the one thing that the package does, named as its module is.
NAMED_AS_THEIR_MODULE = {"screening": {"heterogeneity", "screen"}, "streaming": {"ordered_map"}}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_once_and_hides_no_module(name):
    package = importlib.import_module(name)

    exported = package.__all__
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}

    assert all(hasattr(package, public) for public in exported)
    assert len(set(exported)) == len(exported)
    assert modules & set(exported) == NAMED_AS_THEIR_MODULE.get(name.rpartition(".")[2], set())
