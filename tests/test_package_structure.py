"""The conventions of the API and of the source. They hold for whatever is public, so a new function is checked too."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import epiattn as attn
from epiattn._validation import check_choice

MAX_POSITIONAL = 3
MAX_LINES = 400
NAMESPACES = [name for name in attn.__all__ if isinstance(getattr(attn, name), ModuleType)]
WITH_EXAMPLES = {"", "baselines", "datasets", "get", "io", "pl", "pp", "tl"}
SOURCE = Path(attn.__path__[0])
API_INDEX = Path(__file__).parents[1] / "docs" / "api" / "index.md"

#: Methods whose signature is not ours to choose, and why.
EXEMPT = {
    "models.RegulatoryModel.get_var_names": "overrides a method of scvi-tools that users have no use for",
    "models.RegulatoryModel.setup_anndata": "abstract in scvi-tools; here it only says what to call instead",
}


class Call(NamedTuple):
    """Arguments that a function of ``pp`` or ``tl`` needs; ``MODEL_DIR`` stands for the folder of a trained model.

    ``fitted``: call it on an object that ``tl.fit`` has written into.
    """

    arguments: dict[str, Any]
    fitted: bool = False


MODEL_DIR = object()
ANOTHER_DIR = object()
ADDS_NO_FIELD = {"tl.save"}  # it adds to the record of a run
#: One quick call of each function with ``copy``: a new function needs a row here. It must change the object.
CALLS = {
    "pp.label": Call({"key_added": "another"}),
    "pp.normalize": Call({"scale": False}),
    "pp.qc": Call({}),
    "pp.split": Call({"key_added": "another"}),
    "tl.cluster": Call({"umap": False}, fitted=True),
    "tl.ablate": Call({}, fitted=True),
    "tl.attention": Call({}, fitted=True),
    "tl.attribute": Call({"n_steps": 2, "model_dir": MODEL_DIR}, fitted=True),
    "tl.cross_validate": Call({"model": "prevalence", "n_folds": 2}),
    "tl.differential_regulation": Call({"groupby": "label", "of": "attention", "n_permutations": 9}, fitted=True),
    "tl.embed": Call({"model_dir": MODEL_DIR}),
    "tl.save": Call({"model_dir": ANOTHER_DIR}, fitted=True),
    "tl.enrich": Call({"gene_sets": {"a": ["gene_00000", "gene_00001"]}, "genes": ["gene_00000"], "min_size": 1}),
    "tl.faithfulness": Call({"methods": ["attention"], "checks": [], "n_obs": 20, "n_points": 2}, fitted=True),
    "tl.fit": Call({"max_epochs": 1}),
    "tl.rank_marks_groups": Call({"groupby": "label"}),
    "tl.specific_genes": Call({"key": None}),
    "tl.perturb": Call({"perturbations": {"a": attn.tl.ScaleSignal("H3K4me3", 0)}}, fitted=True),
}


# --- what is public --------------------------------------------------------------------------------------------------


def ours(thing: Any) -> bool:
    return getattr(thing, "__module__", "").split(".")[0] == "epiattn"


def public(kind: Callable[[Any], bool]) -> dict[str, Any]:
    """Functions or classes of this package at its top and in the namespaces, by name."""
    spaces = {f"{space}.": getattr(attn, space) for space in NAMESPACES} | {"": attn}
    things = {f"{space}{name}": getattr(module, name) for space, module in spaces.items() for name in module.__all__}
    return {name: thing for name, thing in things.items() if kind(thing) and ours(thing)}


def public_methods(classes: dict[str, type]) -> dict[str, Callable]:
    """Public methods that this package defines, each once, under the first class that has it."""
    found: dict[Callable, str] = {}
    for name, owner in sorted(classes.items(), key=lambda item: len(item[1].__mro__)):
        for base in filter(ours, owner.__mro__):
            for method, value in vars(base).items():
                function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
                if inspect.isfunction(function) and not method.startswith("_"):
                    found.setdefault(function, f"{name}.{method}")
    return {name: function for function, name in found.items()}


def initializer(owner: type) -> Callable | None:
    """The ``__init__`` that this package defines for a class; NamedTuples and TypedDicts have none."""
    bases = [base for base in owner.__mro__ if ours(base) and "__init__" in vars(base)]
    return vars(bases[0])["__init__"] if bases else None


FUNCTIONS = public(inspect.isfunction)
CLASSES = public(inspect.isclass)
ALL_METHODS = public_methods(CLASSES)
METHODS = {name: method for name, method in ALL_METHODS.items() if name not in EXEMPT}
INITIALIZERS = {name: init for name, owner in CLASSES.items() if (init := initializer(owner)) is not None}
ON_MDATA = {
    name: function
    for name, function in FUNCTIONS.items()
    if name.startswith(("pp.", "tl.")) and next(iter(inspect.signature(function).parameters), None) == "mdata"
}


# --- what a signature and a docstring must be like -------------------------------------------------------------------


def parameters(function: Callable) -> list[inspect.Parameter]:
    return [each for each in inspect.signature(function).parameters.values() if each.name not in {"self", "cls"}]


def sections(docstring: str | None) -> dict[str, str]:
    """Sections of a numpy docstring by heading; what comes before the first heading has the heading ``""``."""
    pieces = re.split(r"^(\S.*)\n-{3,}$\n?", inspect.cleandoc(docstring or ""), flags=re.MULTILINE)
    return {"": pieces[0].strip(), **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def documented(docstring: str | None) -> list[str]:
    """Names in the Parameters section, in order; ``a, b`` are two."""
    lines = [line for line in sections(docstring).get("Parameters", "").splitlines() if line[:1].strip()]
    return [name.strip() for line in lines for name in line.split(" :")[0].split(",")]


def signature_problems(function: Callable) -> list[str]:
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    positional = [each.name for each in parameters(function) if each.kind in kinds]
    if len(positional) <= MAX_POSITIONAL:
        return []
    return [f"{len(positional)} positional parameters {positional}: make those after the third keyword-only"]


def docstring_problems(function: Callable, docstring: str | None, *, examples: bool = False) -> list[str]:
    found = sections(docstring)
    if not found[""]:
        return ["no docstring"]
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    expected = [stars.get(each.kind, "") + each.name for each in parameters(function)]
    problems = []
    if documented(docstring) != expected:
        problems.append(f"the docstring documents {documented(docstring)}, the signature has {expected}")
    returns = inspect.signature(function).return_annotation
    if returns not in (None, "None", "NoReturn", inspect.Signature.empty) and not {"Returns", "Yields"} & set(found):
        problems.append(f"returns {returns}, but has no Returns section")
    if examples and ">>> " not in found.get("Examples", ""):
        problems.append("no Examples section")
    return problems


def raises_problems(function: Callable) -> list[str]:
    """A function that refuses something in its own body, or has it checked, says in Raises what."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    refuses = any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("check_"))
        for node in ast.walk(tree)
    )
    return (
        ["refuses something, but has no Raises section"]
        if refuses and "Raises" not in sections(function.__doc__)
        else []
    )


def copy_problems(function: Callable) -> list[str]:
    """Functions on ``mdata`` write into it and take ``copy``; those that return a table leave it as it was."""
    signature = inspect.signature(function)
    copy = signature.parameters.get("copy")
    if "DataFrame" in str(signature.return_annotation):
        return [] if copy is None else ["takes copy, but returns a table"]
    if copy is not None and copy.kind is copy.KEYWORD_ONLY and copy.default is False:
        return []
    return ["no keyword-only parameter copy: bool = False"]


# --- the checks can fail ---------------------------------------------------------------------------------------------


def wrong(a: int, b: int, c: int, d: int, *rest: int, e: int = 0, copy: bool = True, **options: Any) -> int:
    """Do something.

    Parameters
    ----------
    a, c
        Two numbers.
    b : int
        Another,
        on two lines.
    *rest
        More.
    """


def wrong_raise(a: int) -> None:
    """Do nothing.

    Parameters
    ----------
    a
        A number.
    """
    check_choice("a", a, (1, 2))


def wrong_table(mdata: object, *, copy: bool = False) -> pd.DataFrame:
    """Make a table."""


def right(a: int, b: int, c: int, *rest: int, e: int = 0, copy: bool = False, **options: Any) -> int:
    """Do something.

    Parameters
    ----------
    a, b
        Two numbers.
    c : int
        Another,
        on two lines.
    *rest
        More.
    e
        One more.
    copy
        Whether to copy.
    **options
        And more.

    Returns
    -------
    A number.

    Examples
    --------
    >>> right(1, 2, 3)
    6
    """


def test_the_checks_find_what_is_wrong():
    assert signature_problems(wrong) == [
        "4 positional parameters ['a', 'b', 'c', 'd']: make those after the third keyword-only"
    ]
    expected = ["a", "b", "c", "d", "*rest", "e", "copy", "**options"]
    assert docstring_problems(wrong, wrong.__doc__, examples=True) == [
        f"the docstring documents ['a', 'c', 'b', '*rest'], the signature has {expected}",
        "returns int, but has no Returns section",
        "no Examples section",
    ]
    assert docstring_problems(wrong, None) == ["no docstring"]
    assert copy_problems(wrong) == ["no keyword-only parameter copy: bool = False"]
    assert raises_problems(wrong_raise) == ["refuses something, but has no Raises section"]
    assert copy_problems(wrong_table) == ["takes copy, but returns a table"]
    assert source_problems(ast.parse("log.print(2)\nassert True\nif a:\n    print(1)")) == [
        "no 'from __future__ import annotations'",
        "line 2: assert",
        "line 4: print()",
    ]


def test_what_is_written_and_not_documented_is_found():
    fields = {("/obs", "split"), ("/uns", "attn"), ("tf/obs", "attn_unbound"), ("histone/layers", "attn_attention_A")}
    assert undocumented(attn.tl.fit, fields) == []
    wrong_places = {
        ("/obsm", "split"),
        ("tf/layers", "attn_unbound"),
        ("/obs", "attn_unbound"),
        ("/obs", "attn_scores"),
    }
    assert len(undocumented(attn.tl.fit, wrong_places)) == 4


def test_the_checks_accept_what_is_right():
    assert signature_problems(right) == docstring_problems(right, right.__doc__, examples=True) == []
    assert raises_problems(right) == copy_problems(right) == []
    assert source_problems(ast.parse("from __future__ import annotations\nlog.print(2)")) == []
    assert source_problems(ast.parse("'Only imports.'\nfrom .a import b\n__all__: list[str] = ['b']")) == []


@pytest.mark.parametrize(
    "change",
    [
        "mdata.obs['new'] = 1.0",
        "mdata.uns['new'] = {'a': np.ones(2)}",
        "mdata['histone'].layers['H3K27ac'][0, 0] = -1.0",
        "mdata['tf'].layers['mode'].data[0] = -7.0",
    ],
)
def test_the_fingerprint_of_an_object_sees_a_change(small, change):
    mdata = small.copy()
    assert fingerprint(mdata) == fingerprint(small)
    exec(change)
    assert fingerprint(mdata) != fingerprint(small)


# --- signatures and docstrings ---------------------------------------------------------------------------------------


def cases(things: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "thing"), list(things.items()), ids=list(things))


@cases({**FUNCTIONS, **METHODS, **INITIALIZERS})
def test_at_most_three_parameters_are_positional(name, thing):
    assert signature_problems(thing) == [], name


@cases(FUNCTIONS)
def test_docstrings_of_functions_are_complete(name, thing):
    assert docstring_problems(thing, thing.__doc__, examples=name.rpartition(".")[0] in WITH_EXAMPLES) == [], name


@cases({**FUNCTIONS, **METHODS})
def test_docstrings_say_what_is_refused(name, thing):
    assert raises_problems(thing) == [], name


@cases(METHODS)
def test_docstrings_of_methods_are_complete(name, thing):
    assert docstring_problems(thing, thing.__doc__) == [], name


@cases(CLASSES)
def test_docstrings_of_classes_document_the_arguments_of_init(name, thing):
    assert sections(vars(thing).get("__doc__"))[""], f"{name} has no docstring of its own"
    if name in INITIALIZERS:
        assert docstring_problems(INITIALIZERS[name], thing.__doc__) == [], name


def test_every_exemption_is_of_a_method_that_exists():
    assert set(EXEMPT) <= set(ALL_METHODS)


# --- copy ------------------------------------------------------------------------------------------------------------


@cases(ON_MDATA)
def test_functions_write_into_the_object_and_take_copy_or_return_a_table(name, thing):
    assert copy_problems(thing) == [], name


def test_every_function_with_copy_is_called_here():
    with_copy = {name for name, function in ON_MDATA.items() if "copy" in inspect.signature(function).parameters}
    assert with_copy == set(CALLS), "CALLS needs one row for each function with copy"


@pytest.fixture(scope="module")
def small():
    """A copy already: a first copy by mudata adds columns (0.3) or changes their types (0.4), a second one does not."""
    return attn.datasets.simulate(n_genes=30, cell_types=2, n_bins=20, max_cpgs=6, n_tfs=8).copy()


@pytest.fixture(scope="module")
def fitted(small, tmp_path_factory):
    """A small object after ``tl.fit``, and the folder of the model."""
    attn.settings.verbosity = "warning"
    folder = tmp_path_factory.mktemp("model")
    return attn.tl.fit(small, max_epochs=1, model_dir=folder, copy=True), folder


def _place(value, folder):
    """The folder of the model, or another one, where an argument stands for it."""
    return folder if value is MODEL_DIR else folder.with_name("another") if value is ANOTHER_DIR else value


@pytest.mark.parametrize("name", [name for name in CALLS if name in ON_MDATA])
def test_functions_work_in_place_or_on_a_copy(name, small, fitted):
    call, function = CALLS[name], ON_MDATA[name]
    arguments = {key: _place(value, fitted[1]) for key, value in call.arguments.items()}
    given = (fitted[0] if call.fitted else small).copy()
    before = fingerprint(given)

    copied = function(given, copy=True, **arguments)
    assert copied is not given
    assert fingerprint(given) == before
    assert fingerprint(copied) != before

    assert function(given, **arguments) is given
    assert fingerprint(given) != before


@pytest.mark.parametrize("name", [name for name in CALLS if name in ON_MDATA])
def test_all_that_is_written_stands_in_the_docstring(name, small, fitted):
    call, function = CALLS[name], ON_MDATA[name]
    arguments = {key: _place(value, fitted[1]) for key, value in call.arguments.items()}
    given = (fitted[0] if call.fitted else small).copy()
    written = slots(function(given, copy=True, **arguments)) - slots(given)
    if "key_added" in arguments:
        default = inspect.signature(function).parameters["key_added"].default
        written = {(where, each.replace(arguments["key_added"], default)) for where, each in written}
    assert written or name in ADDS_NO_FIELD, name
    assert undocumented(function, written) == [], name


def undocumented(function: Callable, written: set[tuple[str, str]]) -> list[str]:
    """Fields that are written but not named in the Returns section, where ``<mark>`` stands for any name."""
    text = sections(function.__doc__)["Returns"]
    if ":func:`fit` writes" in " ".join(text.split()):
        text += sections(attn.tl.fit.__doc__)["Returns"]
    if "key_added" in inspect.signature(function).parameters:
        text = text.replace("[key_added]", f'["{inspect.signature(function).parameters["key_added"].default}"]')
    pattern = r'(?:mdata\["(\w+)"\]\.)?\b(obs|obsm|var|varm|varp|uns|layers)\["([^"]+)"\]'
    named = [
        # only modalities have layers: those of any, where none is named
        (re.compile(f"{modality or ('.*' if slot == 'layers' else '')}/{slot}"), re.sub("<.+?>", ".+", re.escape(key)))
        for modality, slot, key in re.findall(pattern, text)
    ]
    return [
        f"{where}[{key!r}]"
        for where, key in sorted(written)
        if not any(place.fullmatch(where) and re.fullmatch(regex, key) for place, regex in named)
    ]


def slots(mdata: mudata.MuData) -> set[tuple[str, str]]:
    """Names of all fields of an object and where they are: ``("histone/layers", "H3K4me3")``, ``("/obs", "label")``."""
    found = set()
    for name, thing in {"": mdata, **mdata.mod}.items():
        for slot in ("obs", "obsm", "var", "varm", "varp", "uns", "layers"):
            keys = getattr(thing, slot, None)
            # mudata 0.3 shows columns of modalities at the top; uns["epiattn"] is the package's own record
            found |= {
                (f"{name}/{slot}", str(key))
                for key in (() if keys is None else keys)
                if ":" not in str(key) and key not in (*mdata.mod, "epiattn", None)
            }
    return found


def fingerprint(thing: Any) -> Any:
    """All values of an object, so that two objects can be compared by ``==``."""
    if isinstance(thing, mudata.MuData | anndata.AnnData):
        slots = ["obs", "var", "obsm", "varm", "obsp", "varp", "uns", "layers", "X"]
        return {slot: fingerprint(getattr(thing, slot)) for slot in slots if hasattr(thing, slot)} | {
            f"mod {name}": fingerprint(adata) for name, adata in getattr(thing, "mod", {}).items()
        }
    if isinstance(thing, pd.DataFrame):
        return [tuple(map(str, thing.index)), {str(name): fingerprint(thing[name].array) for name in thing}]
    if sparse.issparse(thing):
        return [thing.shape, *(fingerprint(part) for part in (thing.data, thing.indices, thing.indptr))]
    if isinstance(thing, np.ndarray) and thing.dtype.kind in "biufc":
        return thing.dtype.str, thing.shape, thing.tobytes()
    if hasattr(thing, "items"):
        return {key: fingerprint(value) for key, value in thing.items()}
    return repr(thing.tolist() if hasattr(thing, "tolist") else thing)


# --- names and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", ["", *NAMESPACES])
def test_public_names_are_listed_and_sorted(namespace):
    module = getattr(attn, namespace) if namespace else attn
    assert module.__all__ == sorted(set(module.__all__))
    defined = {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing)) and ours(thing)
    }
    assert defined <= set(module.__all__)


@pytest.mark.skipif(not API_INDEX.exists(), reason="the documentation is not here")
def test_every_public_name_stands_once_on_the_page_of_the_api():
    text = API_INDEX.read_text(encoding="utf-8")
    listed = re.findall(r"^(?:   |\.\. py:data:: )([a-z]+\.\w+)$", text, flags=re.MULTILINE)
    expected = {f"{space}.{name}" for space in NAMESPACES for name in getattr(attn, space).__all__}
    assert sorted(listed) == sorted(expected)


def source_problems(tree: ast.Module) -> list[str]:
    """What a module lacks, and what it must not hold; one that only imports and lists names needs no annotations."""
    problems = []
    nodes = list(ast.walk(tree))
    docstring = tree.body[:1] if ast.get_docstring(tree) else []
    code = [
        node
        for node in tree.body[len(docstring) :]
        if not isinstance(node, ast.ImportFrom | ast.AnnAssign | ast.Assign)
    ]
    futures = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    if code and not futures:
        problems.append("no 'from __future__ import annotations'")
    for node in sorted(
        (node for node in nodes if isinstance(node, ast.Call | ast.Assert)), key=lambda node: node.lineno
    ):
        if isinstance(node, ast.Assert):
            problems.append(f"line {node.lineno}: assert")
        elif isinstance(node.func, ast.Name) and node.func.id == "print":
            problems.append(f"line {node.lineno}: print()")
    return problems


files = pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix()
)


@files
def test_modules_are_private_or_namespaces(path):
    module = path.parent if path.name == "__init__.py" else path.with_suffix("")
    name = module.relative_to(SOURCE).as_posix()
    assert name in {".", "cli", *NAMESPACES} or module.name.startswith("_")


@files
def test_source_files_keep_the_habits(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert source_problems(ast.parse(text)) == []
