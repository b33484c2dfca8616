"""What a release is made of says the same everywhere: version, dependencies, licence, addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = ["pyproject.toml", "CITATION.cff", "recipe/recipe.yaml", ".github/scverse/meta.yaml"]
pytestmark = pytest.mark.skipif(not all((ROOT / name).exists() for name in FILES), reason="not a checkout")

#: Names on conda-forge that differ from those on PyPI.
CONDA = {"igraph": "python-igraph", "matplotlib": "matplotlib-base", "torch": "pytorch"}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def documents() -> dict[str, dict]:
    return {name: yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in FILES[1:]}


def test_the_version_is_the_same_everywhere(project, documents):
    versions = {
        "CITATION.cff": documents["CITATION.cff"]["version"],
        "recipe": documents["recipe/recipe.yaml"]["context"]["version"],
        "scverse": documents[".github/scverse/meta.yaml"]["version"],
    }
    assert versions == dict.fromkeys(versions, project["version"])


def test_no_source_file_repeats_the_version(project):
    files = list((ROOT / "src").rglob("*.py"))
    if not files:
        pytest.skip("the sources are not here")
    assert [path.name for path in files if f'"{project["version"]}"' in path.read_text(encoding="utf-8")] == []


def test_the_recipe_has_the_dependencies_of_the_package(project, documents):
    expected = {f"python {project['requires-python']}"}
    for requirement in project["dependencies"]:
        name, limits = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        expected.add(f"{CONDA.get(name, name)} {limits}")
    context = documents["recipe/recipe.yaml"]["context"]
    run = documents["recipe/recipe.yaml"]["requirements"]["run"]
    assert {each.replace("${{ python_min }}", context["python_min"]) for each in run} == expected
    assert len(run) == len(set(run))


def test_the_recipe_builds_as_the_package_does(project, documents):
    recipe = documents["recipe/recipe.yaml"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert set(build) < set(recipe["requirements"]["host"])
    scripts = [f"{name} = {target}" for name, target in project["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts


def test_licence_and_addresses_agree(project, documents):
    about = documents["recipe/recipe.yaml"]["about"]
    listed, citation = documents[".github/scverse/meta.yaml"], documents["CITATION.cff"]
    assert {about["license"], listed["license"], citation["license"]} == {project["license"]}
    homes = {about["homepage"], about["repository"], listed["project_home"], citation["repository-code"]}
    assert homes == {project["urls"]["Source"]}
    assert about["documentation"] == citation["url"] == project["urls"]["Documentation"]
    assert listed["documentation_home"].startswith(project["urls"]["Documentation"])


def test_the_scverse_entry_has_what_its_schema_asks_for(project, documents):
    entry = documents[".github/scverse/meta.yaml"]
    needed = {"name", "description", "project_home", "documentation_home", "install", "license", "tags", "contact"}
    assert needed | {"version", "category"} <= set(entry)
    assert entry["install"] == {"pypi": project["name"]}
    assert entry["category"] == "ecosystem"
    assert len(set(entry["tags"])) == len(entry["tags"]) > 0
    assert all(re.fullmatch(r"10.\d{4,9}/[-._;()/:A-Za-z0-9]+", doi) for doi in entry["publications"])
    assert entry["publications"] == [citation["doi"] for citation in documents["CITATION.cff"]["references"]]


def test_the_stacks_of_the_tests_are_among_the_classifiers(project):
    tested = set(re.findall(r'python: "(3\.\d+)"', (ROOT / ".github/workflows/test.yaml").read_text(encoding="utf-8")))
    listed = {each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each}
    assert len(tested) == 2
    assert tested <= listed
    assert min(tested) == project["requires-python"].removeprefix(">=")
