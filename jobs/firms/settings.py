"""``_firms.yaml`` beside the firms' files: what ``advosync firms run`` does for all of them together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from etl.errors import ConfigError
from jobs.config import Language, Section
from jobs.config_file import config_problems, problem_line
from jobs.config_values import Secret, WholeNumber  # noqa: TC001 - pydantic reads the types of the keys
from jobs.yaml_file import expand_variables, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS_FILE = "_firms.yaml"


class FirmsSettings(Section):
    """The whole of ``_firms.yaml``; a folder without it has the defaults."""

    budget_minutes: WholeNumber = Field(10, ge=1, le=1440)
    """After so long a run ends behind the person it is at, and goes on at its next time."""
    at_once: dict[str, WholeNumber] = Field(default_factory=dict)
    """By host of EspoCRM or Advoware: how many of the firms behind it may have a turn at the same time."""
    metrics_file: Path | None = None
    """Prometheus text file of all firms; a relative path starts at the folder."""
    notify: tuple[Secret, ...] = ()
    """Apprise addresses that hear once a day at most which firms are not well."""
    language: Language = Language.DE
    """Language of that message."""
    notified_file: Path = Path("state/firms-notified")
    """Where the time of the last message is remembered."""


def read_settings(folder: Path, env: Mapping[str, str] | None = None) -> FirmsSettings:
    """The settings of a folder; ``ConfigError`` with a line for each mistake."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return with_paths_in(folder, FirmsSettings())
    file = read_yaml(path)
    expanded, problems = expand_variables(file.sections, os.environ if env is None else env)
    try:
        settings = FirmsSettings.model_validate(expanded)
    except ValidationError as error:
        unset_keys = {problem.key for problem in problems}
        problems += [problem for problem in config_problems(error) if problem.key not in unset_keys]
    if problems:
        raise ConfigError("\n".join(problem_line(path, file, problem) for problem in problems))
    return with_paths_in(folder, settings)


def with_paths_in(folder: Path, settings: FirmsSettings) -> FirmsSettings:
    """The same settings, with relative paths counted from the folder."""
    folder = folder.absolute()
    metrics_file = settings.metrics_file and folder / settings.metrics_file
    return settings.model_copy(
        update={"metrics_file": metrics_file, "notified_file": folder / settings.notified_file}
    )
