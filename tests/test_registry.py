"""What can be registered from outside of the package, and what is refused."""

from __future__ import annotations

import importlib
import os

import pytest

import epiattn as attn
from epiattn import _registry
from epiattn._engine import Pieces, Task, run

pytestmark = pytest.mark.usefixtures("forget_registered")

MODULE = """
import os

import numpy as np

from epiattn._registry import baselines


def mine(i):
    return 10 * i


def call(name, i):
    return {"value": np.array(baselines[name].load()(i)), "process": np.array(os.getpid())}
"""


def first_mark(mdata, **_):
    """The total of the first mark.

    More lines.
    """


def test_what_is_registered_is_found_described_and_replaced():
    attn.register("baseline", "mine", first_mark)
    assert _registry.baselines["mine"].load() is first_mark
    assert _registry.baselines["mine"].description == "The total of the first mark."
    attn.register("baseline", "mine", len, description="nonsense")
    assert _registry.baselines["mine"] == _registry.Entry(len, "nonsense")
    assert "mine" in repr(_registry.baselines)


@pytest.mark.parametrize(
    ("kind", "name", "thing", "error", "message"),
    [
        ("modell", "mine", len, ValueError, "kind must be one of .*, not 'modell'"),
        ("model", "mine x5", len, ValueError, "must be of letters, digits and '_', not 'mine x5'"),
        ("model", "kang2020", len, ValueError, "name 'kang2020' is taken"),
        ("baseline", "kang2020", len, ValueError, "name 'kang2020' is taken"),
        ("fusion", "gated", len, ValueError, "name 'gated' is taken"),
        ("fusion", "mine", "a.module:Name", TypeError, "must be a class or a function, not 'a.module:Name'"),
    ],
)
def test_bad_registrations_are_refused(kind, name, thing, error, message):
    before = _registry.registered()
    with pytest.raises(error, match=message):
        attn.register(kind, name, thing)
    assert _registry.registered() == before


def test_names_of_models_and_baselines_are_shared_and_others_are_not():
    attn.register("model", "mine", len)
    with pytest.raises(ValueError, match="name 'mine' is taken"):
        attn.register("baseline", "mine", first_mark)
    attn.register("fusion", "mine", len)


def test_other_processes_know_what_is_registered(tmp_path, monkeypatch):
    """Also there, a task finds the baseline by name and calls it."""
    (tmp_path / "baseline_of_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)  # other processes must be able to import it
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    module = importlib.import_module("baseline_of_tests")
    attn.register("baseline", "mine", module.mine)
    pieces = Pieces(tmp_path)
    tasks = [Task("mine", str(i), module.call, ("mine", i)) for i in range(3)]
    run(tasks, pieces, n_jobs=2)
    found = [pieces.load(task) for task in tasks]
    assert [int(each["value"]) for each in found] == [0, 10, 20]
    assert all(int(each["process"]) != os.getpid() for each in found)
