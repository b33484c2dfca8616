"""What importing the package does, and its namespaces."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import epiattn as attn

HEAVY = [
    *("anndata", "captum", "dask", "h5py", "igraph", "joblib", "lightning", "matplotlib", "mudata", "numba", "pandas"),
    *("pybigtools", "scanpy", "scipy", "scvi", "sklearn", "torch", "zarr"),
]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_loads_nothing_heavy():
    code = f"import sys, epiattn; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(code) == "[]"


def test_preprocessing_needs_no_torch():
    code = "import sys, epiattn as a; a.pp.split, a.datasets, a.metrics; print('torch' in sys.modules)"
    assert run(code) == "False"


@pytest.mark.parametrize("name", attn.__all__)
def test_namespaces_are_found_lazily(name):
    assert getattr(attn, name) is not None
    assert name in dir(attn)


def test_unknown_namespace_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        attn.nothing  # noqa: B018


@pytest.mark.parametrize("namespace", [name for name in attn.__all__ if isinstance(getattr(attn, name), ModuleType)])
def test_public_names_exist_and_are_documented(namespace):
    module = getattr(attn, namespace)
    for name in module.__all__:
        assert getattr(module, name).__doc__, f"{namespace}.{name} has no docstring"


def test_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert attn.__version__ == version("epiattn")


def test_registry_prints_as_a_table_and_helps_with_names():
    from epiattn._registry import models

    assert "kang2020" in repr(models)
    assert "multi_attention" in models
    with pytest.raises(ValueError, match="Did you mean 'kang2020'"):
        models["kang2002"]


def test_verbosity_controls_progress_and_refuses_nonsense():
    before = attn.settings.verbosity
    try:
        attn.settings.verbosity = "info"
        assert attn.settings.progress
        attn.settings.verbosity = "error"
        assert not attn.settings.progress
        with pytest.raises(ValueError, match="verbosity must be one of"):
            attn.settings.verbosity = "loud"
        assert "error" in repr(attn.settings)
    finally:
        attn.settings.verbosity = before


def modules():
    import pkgutil

    return [module.name for module in pkgutil.walk_packages(attn.__path__, "epiattn.")]


@pytest.mark.usefixtures("forget_registered")
@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name, monkeypatch, tmp_path):
    import doctest
    from importlib import import_module

    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(import_module(name))
    assert result.failed == 0


def test_there_are_examples():
    import doctest

    finder = doctest.DocTestFinder()
    assert any(test.examples for test in finder.find(attn.tl.fit))
