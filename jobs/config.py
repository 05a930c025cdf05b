"""What ``config.yaml`` may say, section by section, and the default of each key; ``config_file.py`` reads it."""

from __future__ import annotations

import hashlib
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from etl.records import Channel, Direction, Scope
from jobs.config_values import (
    KommKzNumber,
    NonEmptyText,
    Number,
    PersonKey,
    Secret,
    TlsAddress,
    WebAddress,
    WholeNumber,
    check_crontab,
    check_phone_region,
    check_time_zone,
    check_url_path,
    has_host,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Each command would look through everything installed for plugins of pydantic, 30 ms; ours needs none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


class LogFormat(StrEnum):
    """How logs are written to standard error."""

    AUTO = "auto"
    PRETTY = "pretty"
    JSON = "json"


class Language(StrEnum):
    """The language of what staff read."""

    DE = "de"
    EN = "en"


class Section(BaseModel):
    """A part of the file: unknown keys are refused, values are fixed once read, inputs never shown in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class FieldsSection(Section):
    """What EspoCRM calls the fields the sync uses (the client's ``FIELDS``; a test holds both equal)."""

    betnr: NonEmptyText = "betnr"
    sync_status: NonEmptyText = "syncStatus"
    last_sync: NonEmptyText = "advowareLastSync"
    fingerprint: NonEmptyText = "kommunikationHash"
    error: NonEmptyText = "syncErrorMessage"
    retry_count: NonEmptyText = "syncRetryCount"
    next_retry: NonEmptyText = "syncNextRetry"
    auto_reset: NonEmptyText = "syncAutoResetAt"


class EspocrmSection(Section):
    """Where EspoCRM is and how it is read."""

    url: WebAddress
    """EspoCRM's address, as in the browser, without #."""
    api_key: Secret
    """Key of an API user who may read and edit the entity."""
    entity: NonEmptyText = "CBeteiligte"
    """Name of the entity that carries the persons."""
    fields: FieldsSection = FieldsSection()
    """Names of the custom fields, where they differ."""
    page_size: WholeNumber = Field(200, ge=1, le=200)
    """Records a list page; EspoCRM refuses more than 200."""
    timeout_seconds: Number = Field(30, gt=0, le=600)
    """How long one request may take."""
    read_concurrency: WholeNumber = Field(2, ge=1, le=32)
    """How many reads may overlap."""
    settle_seconds: WholeNumber = Field(5, ge=0, le=300)
    """A record somebody saved less than this ago may be half written and waits for the next run."""
    note_conflicts: bool = True
    """Write a note into the record's stream when a value of Advoware lost."""


class AdvowareSection(Section):
    """Where Advoware is, who logs in, and how gently it is asked."""

    base_url: TlsAddress | None = None
    """Fixed address of the API; with security_gateway set too, discovery is not asked."""
    security_gateway: TlsAddress | None = None
    """Fixed address of the token service."""
    configurator_url: TlsAddress = "https://www2.advo-net.net/AdvonetConfigurator"
    """Discovery: tells the two addresses of a Kanzlei."""
    path_prefix: Annotated[str, AfterValidator(check_url_path)] = "api/v1/advonet"
    """What stands between the base address and "Beteiligte"."""
    kanzlei: NonEmptyText
    """The firm's code at Advo-net."""
    database: NonEmptyText
    """The firm's database."""
    user: NonEmptyText
    """Advoware user the sync logs in as."""
    role: WholeNumber = Field(2, ge=0)
    """Role of that user, as the token service wants it."""
    product: WholeNumber = Field(64, ge=0)
    """64 for programs of third parties."""
    app_id: NonEmptyText
    """AppID issued by Advoware."""
    api_key: Secret
    """Key that signs token requests, base64."""
    password: Secret
    """Password of that user."""
    allowed_hosts: tuple[NonEmptyText, ...] = ("advo-net.net",)
    """Discovery may name addresses under these domains only, and only with TLS: the password goes there."""
    timeout_seconds: Number = Field(30, gt=0, le=600)
    """How long one request may take."""
    read_concurrency: WholeNumber = Field(4, ge=1, le=32)
    """How many reads may overlap; writes never do."""
    max_requests_per_second: Number = Field(10, ge=0, le=1000)
    """Ceiling over all calls; 0: no limit."""
    poll_budget: WholeNumber = Field(500, ge=0, le=100_000)
    """Persons looked at in a run only because their last look is long ago."""


class KommKzRow(Section):
    """What one kommKz means to this firm, where it differs from the built-in table."""

    name: NonEmptyText | None = None
    channel: Channel | None = None
    espo_type: NonEmptyText | None = None
    """EspoCRM's phone type."""
    relevant: bool | None = None
    """Whether it is synced at all."""


def komm_kz_changes(rows: Mapping[int, KommKzRow]) -> dict[int, dict[str, Any]]:
    """Only what was written: ``channel: null`` says "no channel", a missing ``channel`` says nothing."""
    return {komm_kz: row.model_dump(exclude_unset=True) for komm_kz, row in rows.items()}


class SyncSection(Section):
    """What a run does."""

    direction: Direction = Direction.BOTH
    """both, to_advoware or to_espocrm."""
    conflict_scope: Scope = Scope.PERSON
    """person: when both sides changed, EspoCRM wins for the whole person. entry: only for the entry in question."""
    region: Annotated[str, AfterValidator(check_phone_region)] = "DE"
    """Country of phone numbers without a country code."""
    overlap_seconds: WholeNumber = Field(120, ge=0, le=86_400)
    """How far the search for changed records reaches back before the last run."""
    persons_per_run: WholeNumber = Field(1000, ge=1, le=100_000)
    """Most persons a run takes; the longest waiting first."""
    max_staleness_seconds: Number = Field(2, ge=0, le=60)
    """A side read longer ago is read again before it is written."""
    outage_after: WholeNumber = Field(3, ge=1, le=100)
    """Failures in a row after which a system counts as out."""
    komm_kz: dict[KommKzNumber, KommKzRow] = Field(default_factory=dict)
    """Changes to the kommKz table, by kommKz."""
    only: tuple[PersonKey, ...] = ()
    """A pilot group, ids or betnr; empty: everybody."""
    endings_after_minutes: WholeNumber = Field(10, ge=0, le=10_080)
    """Least time between the two looks after which somebody who is not there is believed gone."""

    @field_validator("komm_kz")
    @classmethod
    def check_komm_kz_table(cls, rows: dict[int, KommKzRow]) -> dict[int, KommKzRow]:
        """Changes that leave the table usable."""
        if rows:
            from etl.rules.values.kommkz import KommKzTable  # noqa: PLC0415 - only where the file changes the table

            try:
                KommKzTable.default().with_overrides(komm_kz_changes(rows))
            except ValueError as error:
                msg = str(error).removeprefix("sync.komm_kz: ")
                raise ValueError(msg) from None
        return rows

    def komm_kz_overrides(self) -> dict[int, dict[str, Any]]:
        """The changes as the kommKz table takes them: kommKz to what is written down about it, nothing else."""
        return komm_kz_changes(self.komm_kz)


class GuardsSection(Section):
    """Above which a run is held and somebody is asked."""

    max_removals: WholeNumber = Field(50, ge=0)
    """Emptied, removed and overwritten values of a run."""
    max_removal_share: Number = Field(0.10, ge=0, le=1)
    """Their share of all known values (looked at from 11 on)."""


class RetrySection(Section):
    """When a failed person is tried again."""

    backoff_minutes: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field((1, 5, 15, 60, 240), min_length=1)
    """Waiting time after the 1st, 2nd, … failure; the last one repeats."""
    max_failures: WholeNumber = Field(5, ge=1, le=100)
    """With this failure a person counts as permanently failed."""
    auto_reset_hours: Number = Field(24, gt=0, le=8760)
    """After which a permanently failed person is tried again."""


class JobTimes(Section):
    """Either ``{minutes: n}`` or ``{cron: "…"}``."""

    minutes: WholeNumber | None = Field(None, ge=1, le=10_080)
    cron: Annotated[str, AfterValidator(check_crontab)] | None = None

    @model_validator(mode="after")
    def require_minutes_or_cron(self) -> Self:
        """A time is one or the other."""
        if (self.minutes is None) == (self.cron is None):
            msg = 'must be {minutes: 15} or {cron: "30 2 * * *"}'
            raise ValueError(msg)
        return self


class ScheduleSection(Section):
    """When ``run`` does what."""

    sync: JobTimes = JobTimes(minutes=15)
    """The regular run."""
    sweep: JobTimes = JobTimes.model_construct(minutes=None, cron="30 2 * * *")
    """A look at every linked person on both sides."""
    maintenance: JobTimes = JobTimes.model_construct(minutes=None, cron="0 4 * * *")
    """Backup and retention."""
    jitter_seconds: WholeNumber = Field(20, ge=0, le=3600)
    """Runs start up to this much later, so that several firms do not start at once."""
    timezone: Annotated[str, AfterValidator(check_time_zone)] = "Europe/Berlin"
    """Zone of the cron times, and of all times that people read."""

    @property
    def zone(self) -> ZoneInfo:
        """The zone of that name."""
        return ZoneInfo(self.timezone)


class StateSection(Section):
    """Where the sync remembers."""

    path: Path = Path("state/state.db")
    """The database; a relative path starts at this file's folder."""
    lease_seconds: WholeNumber = Field(120, ge=10, le=3600)
    """How long a lock lives without a sign of life."""
    keep_history_days: WholeNumber = Field(180, ge=1)
    """Age after which runs and changes are pruned."""
    keep_backups: WholeNumber = Field(7, ge=0)
    """How many copies are kept."""
    worker: NonEmptyText | None = None
    """Many firms: the name of the worker whose own disk has the database; null: this machine."""


class ReportSection(Section):
    """Who is told what, and how."""

    language: Language = Language.DE
    """Language of what staff read: de or en."""
    log_format: LogFormat = LogFormat.AUTO
    """auto: pretty on a terminal, else json."""
    metrics_file: Path | None = None
    """Prometheus text file, written after each run."""
    ping_url: Secret | None = None
    """Called after each good run (a dead man's switch)."""
    notify: tuple[Secret, ...] = ()
    """Apprise addresses that holds, permanent failures and outages go to."""

    @field_validator("ping_url")
    @classmethod
    def check_ping_url(cls, value: SecretStr | None) -> SecretStr | None:
        """A web address, kept secret: whoever knows it can silence the alarm."""
        if value is not None and not has_host(value.get_secret_value(), {"http", "https"}):
            msg = "must be an address like https://…"
            raise ValueError(msg)
        return value


class Config(Section):
    """The whole of ``config.yaml``."""

    espocrm: EspocrmSection
    advoware: AdvowareSection
    sync: SyncSection = SyncSection()
    guards: GuardsSection = GuardsSection()
    retry: RetrySection = RetrySection()
    schedule: ScheduleSection = ScheduleSection()
    state: StateSection = StateSection()
    report: ReportSection = ReportSection()

    @model_validator(mode="before")
    @classmethod
    def default_empty_sections(cls, sections: object) -> object:
        """A section whose keys are all commented out is an empty section."""
        if not isinstance(sections, dict):
            return sections
        return {name: {} if section is None else section for name, section in sections.items()}

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for the log's mask and for nothing else."""
        secrets = [self.espocrm.api_key, self.advoware.api_key, self.advoware.password, *self.report.notify]
        if self.report.ping_url is not None:
            secrets.append(self.report.ping_url)
        return tuple(secret.get_secret_value() for secret in secrets)


def config_digest(config: Config) -> str:
    """16 hex digits that change when a plan of this file could mean something else (rules §6, guards).

    Region, kommKz table, entity, direction, scope and the configured addresses; Kanzlei and database belong to
    Advoware's address. No login, no pace, no command-line switch, nothing discovery answered.
    """
    meaning = {
        "region": config.sync.region,
        "komm_kz": config.sync.komm_kz_overrides(),
        "entity": config.espocrm.entity,
        "direction": config.sync.direction,
        "scope": config.sync.conflict_scope,
        "espocrm": config.espocrm.url,
        "advoware": config.advoware.model_dump(
            include={"base_url", "security_gateway", "configurator_url", "path_prefix", "kanzlei", "database"}
        ),
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors that check it while it is written."""
    return Config.model_json_schema()
