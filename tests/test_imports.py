"""Who imports whom: the rules that keep the parts apart, read off the source; and what importing gatekeep must not import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

import gatekeep

ROOT = Path(gatekeep.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__").removesuffix("__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
LANGUAGE = {"errors", "clock", "forks", "effects", "environ", "headers", "message", "showing"}
KERNEL = {
    *LANGUAGE,
    "living",
    "marks",
    "memo",
    "exchange",
    "principal",
    "request_ids",
    "component",
    "declared",
    "proxies",
    "sources",
    "strict_json",
    "paths",
    "patterns",
    "patterns.automaton",
    "patterns.ecma",
    "iam",
    "iam.api",
    "iam.pattern",
    "iam.conditions",
    "iam.document",
}
EXTRAS = {
    "jmespath",
    "redis",
    "cedarpy",
    "lxml",
    "signxml",
    "opentelemetry.sdk",
    "flask",
    "fastapi",
    "starlette",
    "django",
    "jsonschema_rs",
    "orjson",
}
BROUGHT_ALONG = {"botocore": "boto3", "cryptography": "pyjwt", "lxml": "signxml", "starlette": "fastapi", "werkzeug": "flask"}
"""What a library that is asked for is made of, and speaks in."""
THE_APPS_OWN = {"msgspec", "pydantic", "rest_framework"}
"""Looked at where the app has it."""


def imports(module, *, typing_too=False):
    """The modules that a module imports, ours without the package's name; those for type checkers only if asked for."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    package = [part for part in package if part]
    found = set()

    def visit(node):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not typing_too:
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ".".join(package[: len(package) - (node.level - 1)])
                target = f"{base}.{node.module}" if base and node.module else base or node.module or ""
                for name in node.names:
                    inner = f"{target}.{name.name}" if target else name.name
                    found.add(f"gatekeep:{inner if inner in MODULES else target}")
            else:
                found.add(node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text("utf-8")))
    return found


def ours(module, **options):
    return {name.removeprefix("gatekeep:") for name in imports(module, **options) if name.startswith("gatekeep:")}


def foreign(module):
    names = {name.split(".")[0] for name in imports(module) if not name.startswith("gatekeep:")}
    return names - set(sys.stdlib_module_names) - {"__future__"}


def below(prefix):
    return [module for module in MODULES if module.startswith(f"{prefix}.")]


def test_the_rules_see_what_there_is():
    assert {"errors", "effects", "components.cors.component", "stores.redis"} <= MODULES.keys()
    assert "errors" in ours("effects")
    assert "message" in ours("exchange")
    assert "redis" in foreign("stores.redis")
    assert "gateway" not in ours("site")
    assert "gateway" in ours("site", typing_too=True)


@pytest.mark.parametrize("module", sorted(LANGUAGE & MODULES.keys()))
def test_the_language_of_hooks_stands_on_the_standard_library(module):
    assert foreign(module) == set()
    assert ours(module) <= LANGUAGE


@pytest.mark.parametrize("module", ["marks", "declared", "principal", "request_ids", "exchange", "component"])
def test_component_and_exchange_stand_on_it(module):
    assert foreign(module) == set()
    assert ours(module) <= {*LANGUAGE, "marks", "declared", "principal", "request_ids", "exchange"}


@pytest.mark.parametrize("module", [name for name in MODULES if name == "stores" or name.startswith("stores.")])
def test_stores_know_no_component(module):
    assert ours(module) <= {*KERNEL, *below("stores"), "stores"}


@pytest.mark.parametrize("module", below("components"))
def test_a_component_knows_no_other_one(module):
    own = ".".join(module.split(".")[:2])
    allowed = {*KERNEL, "stores", *below("stores"), own, *below(own)}
    assert ours(module) <= allowed
    assert ours(module, typing_too=True) <= {*allowed, "lifecycle"}


@pytest.mark.parametrize("module", ["pipeline", "routing"])
def test_pipeline_and_routing_know_no_concrete_component(module):
    assert not [name for name in ours(module, typing_too=True) if name.startswith(("components", "frameworks", "stores"))]


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(below("frameworks")) - {""}))
def test_nobody_but_an_adapter_imports_a_framework(module):
    frameworks = {"flask", "werkzeug", "fastapi", "starlette", "django", "rest_framework"}
    assert not foreign(module) & frameworks


@pytest.mark.parametrize(
    "module", sorted(KERNEL & MODULES.keys() | {"pipeline", "routing", "site", "requests", "wsgi_request", "answers"})
)
def test_drivers_frameworks_and_gateway_are_imported_by_nobody_below(module):
    assert not ours(module) & {"gateway", "front", "asgi", "wsgi", "testing"}


def test_what_is_imported_is_asked_for_by_name():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    of_users = [names for extra, names in project["optional-dependencies"].items() if extra not in ("test", "bench")]
    asked = {canonical(re.match(r"[\w.-]+", name)[0]) for name in chain(project["dependencies"], *of_users)}
    distributions = packages_distributions()
    imported = set().union(*map(foreign, MODULES)) - THE_APPS_OWN
    assert {"jsonschema", "referencing", "redis", "lxml"} <= imported
    for name in imported:
        found = {canonical(each) for each in distributions[name]}
        assert (found | {BROUGHT_ALONG.get(name)}) & asked, f"{name} comes with {found}, which pyproject.toml does not ask for"


def canonical(name):
    """As PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_importing_gatekeep_imports_no_extra():
    lines = [
        "import sys, gatekeep, gatekeep.testing",
        "gateway = gatekeep.Gateway(gatekeep.Throttle('1/s'), gatekeep.Cors(allow_origins=['*']))",
        "gateway.wrap(lambda environ, start_response: [])",
        "print(*sorted(sys.modules))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "gatekeep.gateway" in loaded
    assert loaded & EXTRAS == set()


def test_the_public_names_are_sorted_and_all_there_is():
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    imported = [name.asname or name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names]
    assert gatekeep.__all__ == sorted(gatekeep.__all__, key=isort_key)
    assert sorted(imported) == sorted(gatekeep.__all__)
    assert len(set(imported)) == len(imported)
    others = [node for node in tree.body if not isinstance(node, (ast.ImportFrom, ast.Assign, ast.Expr))]
    assert others == []


def isort_key(name):
    """Constants, then classes, then functions, as ruff sorts __all__."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_says_first_what_belongs_in_it(module):
    text = MODULES[module].read_text("utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 420
