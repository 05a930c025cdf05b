"""House style (tests/README.md): imports run one way, rules are pure, and a listing shows only what belongs there."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "config.yaml", "etl", "jobs", "tests", "state"}

STAGE = "stage"  # any other file directly in etl/
GROUND = {
    "etl.enums", "etl.environment", "etl.errors", "etl.lazy_imports", "etl.records", "etl.frames", "etl.rules",
    "etl.times",
}  # fmt: skip

#   layer            what of etl it may import besides itself
MAY_IMPORT = {
    "etl.enums":     set(),
    "etl.errors":    set(),
    "etl.lazy_imports":   set(),
    "etl.environment": {"etl.errors"},
    "etl.records":   set(),
    "etl.times":     set(),
    "etl.frames":    {"etl.records"},
    "etl.rules":     {"etl.enums", "etl.records", "etl.frames", "etl.errors", "etl.times"},
    "etl.clients":   GROUND,
    "etl.store":     GROUND,
    "etl.diff":      GROUND,
    STAGE:           GROUND | {"etl.clients", "etl.store", "etl.diff"},
}  # fmt: skip

#   library          who may import it, and why
ONLY_IN = {
    "httpx":         ("etl/clients/", "jobs/sandbox/"),       # the two systems; the sandbox stands in for them
    "httpcore":      (),
    "requests":      (),
    "sqlite3":       ("etl/store/",),
    "sqlite_utils":  ("etl/store/",),
    "starlette":     ("jobs/sandbox/",),
    "uvicorn":       ("jobs/sandbox/", "jobs/inspector/server.py"),
    "datasette":     ("jobs/inspector/server.py",),           # an extra: nothing else may need it
    "apscheduler":   ("jobs/scheduler.py", "jobs/schedule.py", "jobs/config.py"),  # config: what a crontab is
    "jinja2":        ("jobs/html_report/page.py",),            # inspect's templates are filled by datasette
    "typer":         ("jobs/",),
    "rich":          ("jobs/",),
    "pydantic":      ("etl/clients/", "jobs/"),               # the borders: payloads and configuration
    "apprise":       ("jobs/",),
    "prometheus_client": ("jobs/",),
}  # fmt: skip

IMPURE = {
    "httpx", "socket", "asyncio", "sqlite3", "sqlite_utils", "os", "time", "random", "secrets", "uuid", "logging",
    "structlog",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}


@dataclass(frozen=True)
class SourceFile:
    """A file of ours, read and parsed."""

    path: str

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def layer(self) -> str:
        matching_layers = [layer for layer in MAY_IMPORT if self.module == layer or self.module.startswith(f"{layer}.")]
        return matching_layers[0] if matching_layers else STAGE

    def imports(self) -> set[str]:
        return imports_of(self.path)


@cache
def imports_of(path: str) -> set[str]:
    """Every module a file imports, anywhere in it; ``from etl import apply`` counts as ``etl.apply``."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; absolute imports can be searched for"
            is_package = node.module in {"etl", "jobs"}
            modules |= {f"{node.module}.{alias.name}" for alias in node.names} if is_package else {str(node.module)}
    return modules


def source_files(*folders: str) -> list[SourceFile]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [SourceFile(path.relative_to(ROOT).as_posix()) for path in paths]


def layer_of(module: str) -> str:
    return SourceFile(module.replace(".", "/") + ".py").layer


@pytest.mark.parametrize("source", source_files("etl"), ids=lambda source: source.path)
def test_imports_run_one_way(source: SourceFile) -> None:
    own_modules = {module for module in source.imports() if module.split(".")[0] in {"etl", "jobs"}}
    assert not {module for module in own_modules if module.startswith("jobs")}, (
        "etl knows nothing of how runs are started"
    )
    allowed = MAY_IMPORT[source.layer] | {source.layer}
    assert not {module for module in own_modules if module != "etl" and layer_of(module) not in allowed}


@pytest.mark.parametrize("source", source_files("etl", "jobs"), ids=lambda source: source.path)
def test_a_library_is_imported_only_where_it_belongs(source: SourceFile) -> None:
    libraries = {module.split(".")[0] for module in source.imports()} & set(ONLY_IN)
    assert not {library for library in libraries if not source.path.startswith(ONLY_IN[library])}


def test_no_two_files_need_each_other() -> None:
    files = source_files("etl", "jobs")
    own_modules = {source.module for source in files}
    imports_by_module = {source.module: source.imports() & own_modules - {source.module} for source in files}
    while modules_without_imports := {
        module for module, imported in imports_by_module.items() if not imported
    }:  # nothing left to import: no circle
        imports_by_module = {
            module: imported - modules_without_imports
            for module, imported in imports_by_module.items()
            if module not in modules_without_imports
        }
    assert imports_by_module == {}


PURE = [
    source
    for source in source_files("etl")
    if source.layer in {"etl.rules", "etl.diff", "etl.enums", "etl.frames", "etl.records", "etl.times"}
]


@pytest.mark.parametrize("source", PURE, ids=lambda source: source.path)
def test_rules_and_diff_know_no_network_file_clock_chance_or_log(source: SourceFile) -> None:
    assert not {module.split(".")[0] for module in source.imports()} & IMPURE
    tree = ast.parse((ROOT / source.path).read_text("utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & CLOCKS, "now is an argument"
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input"}


def test_the_top_level_holds_only_what_belongs_there() -> None:
    entries = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and path.name != "__pycache__"}
    assert entries <= TOP_LEVEL


@pytest.mark.parametrize("source", source_files("etl", "jobs"), ids=lambda source: source.path)
def test_no_file_is_called_after_nothing(source: SourceFile) -> None:
    empty_words = {"util", "utils", "helper", "helpers", "manager", "misc", "common"}
    assert not set(Path(source.path).stem.split("_")) & empty_words
