"""House style (tests/README.md): imports run one way, rules are pure, and a listing shows only what belongs there."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "config.yaml", "etl", "jobs", "tests", "state"}

STAGES = {
    "etl.extract", "etl.recover", "etl.renewal", "etl.endings", "etl.diff", "etl.guard", "etl.apply", "etl.verify",
}  # fmt: skip
"""The stages of a run, a file each. None knows another: only the pipeline knows their order."""

GROUND = {
    "etl.enums", "etl.environment", "etl.errors", "etl.frames", "etl.lazy_imports", "etl.records", "etl.rules",
    "etl.times",
}  # fmt: skip
BELOW_STAGES = GROUND | {"etl.clients", "etl.store", "etl.context", "etl.reading", "etl.writing"}
CALLED_BY_COMMANDS = {
    "jobs.pipeline", "jobs.run", "jobs.run_and_notify", "jobs.telemetry", "jobs.sandbox", "jobs.scheduler",
}  # fmt: skip
SETTINGS = {
    "jobs.client_factory", "jobs.config", "jobs.config_file", "jobs.config_values", "jobs.environment",
    "jobs.exit_codes", "jobs.lock", "jobs.operator", "jobs.private_file", "jobs.promise", "jobs.schedule",
    "jobs.screen", "jobs.times", "jobs.yaml_file",
}  # fmt: skip

#   folder or file        what of ours it may import besides itself
MAY_IMPORT = {
    # what all stand on: values, errors, frames, pure rules
    "etl.errors":         set(),
    "etl.lazy_imports":   set(),
    "etl.enums":          set(),
    "etl.records":        set(),
    "etl.times":          set(),
    "etl.environment":    {"etl.errors"},
    "etl.frames":         {"etl.records"},
    "etl.rules":          {"etl.enums", "etl.errors", "etl.frames", "etl.records", "etl.times"},
    # the two systems and the state store, which do not know each other
    "etl.clients":        GROUND,
    "etl.store":          GROUND,
    # what several stages of a run need
    "etl.context":        GROUND | {"etl.clients", "etl.store"},
    "etl.reading":        GROUND | {"etl.clients", "etl.store", "etl.context"},
    "etl.writing":        GROUND | {"etl.clients", "etl.store", "etl.context", "etl.reading"},
    # the stages; the diff is pure
    "etl.diff":           GROUND,
    **dict.fromkeys(STAGES - {"etl.diff"}, BELOW_STAGES),
    # the order of a run
    "jobs.run":           BELOW_STAGES | STAGES | SETTINGS,
    "jobs.pipeline":      BELOW_STAGES | STAGES | SETTINGS | {"jobs.run"},
    # what people see of it: the store is all they ask
    "jobs.html_report":   GROUND | SETTINGS | {"etl.store"},
    "jobs.inspector":     GROUND | SETTINGS | {"etl.store", "jobs.commands", "jobs.html_report", "jobs.run"},
    "jobs.telemetry":     GROUND | SETTINGS
                          | {"etl.store", "etl.clients", "jobs.run", "jobs.commands", "jobs.html_report"},
    "jobs.sandbox":       set(),  # it stands in for the two systems: nothing of ours may help it
    # how it is started
    "jobs.run_and_notify": SETTINGS | {"jobs.pipeline", "jobs.run", "jobs.telemetry"},
    "jobs.commands":      GROUND | SETTINGS | CALLED_BY_COMMANDS | {"etl.clients", "etl.store", "etl.renewal"},
    "jobs.scheduler":     GROUND | SETTINGS | CALLED_BY_COMMANDS | {"etl.clients", "etl.store", "jobs.commands"},
    "jobs.firms":         GROUND | SETTINGS
                          | {"jobs.commands", "jobs.run", "jobs.run_and_notify", "jobs.scheduler", "jobs.telemetry"},
    "jobs.command_line":  GROUND | SETTINGS | CALLED_BY_COMMANDS
                          | {"jobs.commands", "jobs.firms", "jobs.html_report", "jobs.inspector"},
    "jobs.cli":           GROUND | SETTINGS | {"jobs.command_line", "jobs.telemetry"},
    "jobs.__main__":      {"jobs.cli"},
    "jobs.deploy":        set(),
    **dict.fromkeys(SETTINGS, GROUND | SETTINGS | {"etl.clients", "etl.store"}),
}  # fmt: skip

#   library          who may import it, and why
ONLY_IN = {
    "httpx":         ("etl/clients/",),
    "httpcore":      (),
    "requests":      (),
    "sqlite3":       ("etl/store/",),
    "sqlite_utils":  ("etl/store/",),
    "starlette":     ("jobs/sandbox/",),
    "uvicorn":       ("jobs/sandbox/", "jobs/inspector/server.py"),
    "datasette":     ("jobs/inspector/server.py",),           # an extra: nothing else may need it
    "apscheduler":   ("jobs/scheduler.py", "jobs/schedule.py", "jobs/config_values.py"),  # what a crontab is
    "jinja2":        ("jobs/html_report/page.py",),            # inspect's templates are filled by datasette
    "typer":         ("jobs/",),
    "rich":          ("jobs/",),
    "pydantic":      ("etl/clients/", "jobs/"),               # the borders: payloads and configuration
    "apprise":       ("jobs/telemetry/notify.py",),           # likewise
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
        layers = [layer for layer in MAY_IMPORT if self.module == layer or self.module.startswith(f"{layer}.")]
        return layers[0] if layers else self.module

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
            folder = ROOT / str(node.module).replace(".", "/")
            files = {alias.name for alias in node.names if (folder / f"{alias.name}.py").is_file()}
            modules |= {f"{node.module}.{name}" for name in files}
            modules |= {str(node.module)} - {"etl", "jobs"}
    return modules


def source_files(*folders: str) -> list[SourceFile]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [SourceFile(path.relative_to(ROOT).as_posix()) for path in paths]


def layer_of(module: str) -> str:
    return SourceFile(module.replace(".", "/") + ".py").layer


@pytest.mark.parametrize("source", source_files("etl", "jobs"), ids=lambda source: source.path)
def test_imports_run_one_way(source: SourceFile) -> None:
    if source.module in {"etl", "jobs"}:
        assert not source.imports()
        return
    own_modules = {module for module in source.imports() if module.split(".")[0] in {"etl", "jobs"}}
    allowed = MAY_IMPORT[source.layer] | {source.layer}
    assert not {module for module in own_modules if layer_of(module) not in allowed}


def test_no_stage_knows_another() -> None:
    stages = [source for source in source_files("etl") if source.module in STAGES]
    assert {source.module for source in stages} == STAGES
    assert not {source.module: others for source in stages if (others := source.imports() & STAGES)}


def test_every_file_of_etl_is_a_stage_or_stands_below_them() -> None:
    assert not {source.layer for source in source_files("etl")} - STAGES - BELOW_STAGES - {"etl"}


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


#   name                  who needs it, though no file of ours names it
CALLED_FROM_OUTSIDE = {
    "ConnectionLost":     "a fault that may befall the sandbox",
    "TimedOut":           "likewise",
    "Unreachable":        "likewise",
}  # fmt: skip


def references(path: Path) -> Counter[str]:
    """How often a file names something: as a name, an attribute, a word of its own ("sync") or a place ("a.b:sync")."""
    names: Counter[str] = Counter()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names[node.id] += 1
        elif isinstance(node, ast.Attribute):
            names[node.attr] += 1
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.name for alias in node.names if alias.asname)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            names[node.value.rpartition(":")[2]] += 1
    return names


def test_nothing_stands_in_product_folders_that_only_tests_call() -> None:
    names: Counter[str] = Counter()
    for source in source_files("etl", "jobs"):
        names.update(references(ROOT / source.path))
    names.update(re.findall(r"[\w.]+:(\w+)", (ROOT / "pyproject.toml").read_text("utf-8")))
    unused = [
        f"{source.path} {node.name}"
        for source in source_files("etl", "jobs")
        for node in ast.parse((ROOT / source.path).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        if not node.decorator_list and not names[node.name] and node.name not in CALLED_FROM_OUTSIDE
    ]
    assert unused == []


def test_no_file_is_there_for_tests_only() -> None:
    entry_points = {"jobs.__main__", "jobs.cli"}
    imported = set().union(*(source.imports() for source in source_files("etl", "jobs"))) | entry_points
    texts = "".join((ROOT / source.path).read_text("utf-8") for source in source_files("etl", "jobs"))
    unused = [
        source.path
        for source in source_files("etl", "jobs")
        if not source.path.endswith("__init__.py")
        if source.module not in imported and f'"{source.module}' not in texts
    ]
    assert unused == []


#   library             why it is a dependency though nothing imports it
NOT_IMPORTED = {
    "tzdata":            "zoneinfo reads it where the system has no time zones",
}  # fmt: skip

IMPORTED_AS = {"pyyaml": "yaml", "prometheus-client": "prometheus_client", "sqlite-utils": "sqlite_utils"}


def test_every_dependency_is_imported_and_every_import_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *extras["firms"], *extras["inspect"], *extras["notify"]]
    distributions = {re.split(r"[<>=\[ ]", text, maxsplit=1)[0].lower() for text in required} - NOT_IMPORTED.keys()
    declared = {IMPORTED_AS.get(name, name) for name in distributions}
    modules = {module.split(".")[0] for source in source_files("etl", "jobs") for module in source.imports()}
    assert modules - sys.stdlib_module_names - {"etl", "jobs"} == declared


@pytest.mark.parametrize(
    ("extra", "folder"), [("firms", "jobs/firms/"), ("inspect", "jobs/inspector/"), ("notify", "jobs/telemetry/")]
)
def test_what_an_extra_brings_is_needed_in_its_folder_only(extra: str, folder: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    libraries = {re.split(r"[<>=]", text, maxsplit=1)[0] for text in project["optional-dependencies"][extra]}
    users = [source.path for source in source_files("etl", "jobs") if libraries & source.imports()]
    assert all(path.startswith(folder) for path in users)


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
