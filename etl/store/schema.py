"""The tables of the state store, as numbered migrations; ``state/README.md`` says what each column means.

A migration runs once, and is never edited after a release: a change is a new one at the end. Snapshots and the baseline
carry no foreign keys, because two persons may share a betnr and either side may be stored first; the journal does,
because a step without its run would say nothing.
"""

from __future__ import annotations

from typing import Final

PERSONS_TABLE: Final = """
create table persons (
    entity_id text primary key not null,
    betnr integer,
    name text,
    status text check (
        status in (
            'pending_sync', 'dirty', 'syncing', 'clean',
            'failed', 'permanently_failed', 'conflict', 'deleted_in_advoware'
        )
    ),
    due_since text,
    due_reason text,
    last_sync_at text,
    fingerprint text,
    retry_count integer not null default 0,
    next_retry_at text,
    auto_reset_at text,
    error text,
    espo_modified_at text,
    espo_seen_at text,
    advo_seen_at text,
    espo_status text,
    espo_fingerprint text,
    espo_modified_by text,
    espo_version integer,
    own_modified_at text,
    edited_by_other integer not null default 0 check (edited_by_other in (0, 1)),
    espo_changed_at text,
    advo_changed_at text,
    status_written text,
    fingerprint_written text,
    status_sent text,
    fingerprint_sent text,
    foreign_writes integer not null default 0,
    waiting_side text check (waiting_side in ('espo', 'advo')),
    advo_fields text,
    advo_fingerprint text,
    gone_at text
) strict;
create index persons_by_betnr on persons (betnr);
create index persons_due on persons (due_since) where due_since is not null;
create index persons_by_advo_look on persons (advo_seen_at) where betnr is not null and gone_at is null;
create index persons_by_status on persons (status, betnr) where gone_at is null;
create index persons_by_retry on persons (next_retry_at) where next_retry_at is not null;
create index persons_by_auto_reset on persons (auto_reset_at) where auto_reset_at is not null;
"""

SNAPSHOT_TABLES: Final = """
create table espo_entries (
    entity_id text not null,
    channel text not null check (channel in ('phone', 'mail')),
    position integer not null,
    value text not null,
    canonical text not null,
    type text,
    is_primary integer not null default 0 check (is_primary in (0, 1)),
    opt_out integer not null default 0 check (opt_out in (0, 1)),
    invalid integer not null default 0 check (invalid in (0, 1)),
    raw text not null,
    primary key (entity_id, channel, position)
) strict;
create index espo_entries_by_canonical on espo_entries (canonical);

create table advo_entries (
    betnr integer not null,
    komm_id integer not null,
    row_id text not null,
    value text,
    canonical text,
    remark text,
    own_text text,
    marker_kind text not null default 'none' check (marker_kind in ('none', 'marker', 'slot', 'damaged')),
    marker_value text,
    marker_canonical text,
    marker_komm_kz integer,
    is_slot integer not null default 0 check (is_slot in (0, 1)),
    komm_kz integer not null default 0,
    field_komm_kz integer,
    channel text check (channel in ('phone', 'mail')),
    online integer not null default 0 check (online in (0, 1)),
    mobile integer not null default 0 check (mobile in (0, 1)),
    primary key (betnr, komm_id)
) strict;
"""

BASELINE_TABLES: Final = """
create table baseline (
    entity_id text not null,
    betnr integer not null,
    komm_id integer not null,
    channel text not null check (channel in ('phone', 'mail')),
    espo_value text,
    espo_canonical text,
    espo_type text,
    advo_value text,
    advo_canonical text,
    komm_kz integer,
    row_id text,
    remark text,
    unmarked integer not null default 0 check (unmarked in (0, 1)),
    other_row integer,
    agreed_at text not null,
    primary key (entity_id, betnr, komm_id)
) strict;

create table left_alone (
    id integer primary key,
    entity_id text not null,
    betnr integer,
    side text not null check (side in ('espo', 'advo')),
    komm_id integer,
    channel text check (channel in ('phone', 'mail')),
    value text,
    reason text not null check (reason in ('unsyncable', 'held_back', 'duplicate')),
    direction text check (direction in ('both', 'to_advoware', 'to_espocrm')),
    detail text,
    since text not null
) strict;
create unique index left_alone_once on left_alone (
    entity_id, side, ifnull(komm_id, -1), ifnull(channel, ''), ifnull(value, ''), reason
);
"""

JOURNAL_TABLES: Final = """
create table runs (
    id integer primary key autoincrement,
    version text,
    trigger text not null,
    operator text,
    reason text,
    about integer,
    host text,
    pid integer,
    direction text check (direction in ('both', 'to_advoware', 'to_espocrm')),
    scope text check (scope in ('person', 'entry')),
    started_at text not null,
    finished_at text,
    outcome text check (
        outcome in ('done', 'failed_persons', 'held', 'outage', 'locked', 'stopped', 'abandoned')
    ),
    persons_seen integer not null default 0,
    persons_changed integer not null default 0,
    persons_failed integer not null default 0,
    espo_reads integer not null default 0,
    espo_writes integer not null default 0,
    advo_reads integer not null default 0,
    advo_writes integer not null default 0,
    error text,
    calls text,
    report text
) strict;

create table decisions (
    id integer primary key,
    run_id integer not null references runs (id),
    entity_id text not null,
    betnr integer,
    variant text not null,
    reason text,
    komm_id integer,
    channel text check (channel in ('phone', 'mail')),
    foreseen text,
    drops text not null default '[]',
    facts text,
    state text not null default 'planned' check (
        state in ('planned', 'done', 'settled', 'superseded', 'held', 'failed')
    ),
    created_at text not null
) strict;
create index decisions_by_run on decisions (run_id);
create index decisions_by_person on decisions (entity_id);

create table changes (
    id integer primary key,
    run_id integer not null references runs (id),
    decision_id integer references decisions (id),
    seq integer not null default 0,
    entity_id text not null,
    betnr integer,
    variant text not null,
    reason text,
    side text not null check (side in ('espo', 'advo')),
    action text not null,
    komm_id integer,
    komm_kz integer,
    channel text check (channel in ('phone', 'mail')),
    old_value text,
    new_value text,
    old_remark text,
    new_remark text,
    before text,
    after text,
    answered_row_id text,
    state text not null default 'planned' check (
        state in ('planned', 'started', 'done', 'failed', 'unknown', 'held', 'dropped')
    ),
    settled integer not null default 0 check (settled in (0, 1)),
    error text,
    started_at text,
    finished_at text
) strict;
create index changes_open on changes (entity_id) where settled = 0 and state in ('started', 'done', 'unknown');
create index changes_by_run on changes (run_id);
create index changes_by_person on changes (entity_id);
create index changes_by_decision on changes (decision_id);

create table conflicts (
    id integer primary key autoincrement,
    run_id integer not null references runs (id),
    change_id integer references changes (id) on delete set null,
    entity_id text not null,
    betnr integer,
    variant text not null,
    komm_id integer,
    channel text check (channel in ('phone', 'mail')),
    espo_value text,
    advo_value text,
    kept text not null check (kept in ('espo', 'advo')),
    reason text,
    created_at text not null,
    noted_at text,
    seen_at text,
    restored_at text
) strict;
create index conflicts_by_person on conflicts (entity_id);
create index conflicts_by_change on conflicts (change_id);
create index conflicts_open on conflicts (run_id) where seen_at is null and restored_at is null;

create table holds (
    id integer primary key autoincrement,
    run_id integer not null references runs (id),
    entity_id text not null,
    betnr integer,
    kind text not null check (kind in ('removals', 'configuration', 'recovery', 'second_writer')),
    reason text,
    digest text,
    until_edited integer not null default 0 check (until_edited in (0, 1)),
    held_at text not null,
    released_at text,
    released_by text
) strict;
create unique index holds_open on holds (entity_id, kind) where released_at is null;
create index holds_by_run on holds (run_id);
"""

PROGRAM_TABLES: Final = """
create table settings (
    key text primary key not null,
    value text
) strict;
insert into settings values ('instance_id', lower(hex(randomblob(8))));

create table lease (
    id integer primary key check (id = 1),
    host text not null,
    pid integer not null,
    born text,
    token text not null,
    run text,
    acquired_at text not null,
    heartbeat_at text not null,
    expires_at text not null
) strict;
"""

RUN_CHUNKS: Final = """
alter table runs add column part_of integer;
"""

LOOKUP_INDEXES: Final = """
drop index persons_by_betnr;
create index persons_by_betnr on persons (betnr, gone_at);
drop index persons_by_advo_look;
create index persons_by_advo_look on persons (advo_seen_at, entity_id) where betnr is not null and gone_at is null;
create index persons_changed on persons (espo_changed_at, advo_changed_at)
    where espo_changed_at is not null or advo_changed_at is not null;
create index left_alone_held_back on left_alone (entity_id, direction) where reason = 'held_back';
create index runs_unfinished on runs (id) where finished_at is null;
"""

BASELINE_BETNR: Final = """
alter table persons add column agreed_betnr integer;
update persons
set agreed_betnr = betnr
where last_sync_at is not null
    and exists (
        select 1
        from baseline
        where baseline.entity_id = persons.entity_id
            and baseline.betnr = persons.betnr
    );
"""

ARRAY_PUTS_TABLE: Final = """
create table array_puts (
    id integer primary key,
    run_id integer not null references runs (id),
    entity_id text not null,
    betnr integer,
    items_before text not null,
    items_sent text not null,
    started_at text not null,
    answered_at text,
    judged_at text,
    outcome text check (outcome in ('seen', 'in_part', 'not_stored', 'edited', 'refused')),
    in_part text
) strict;
create index array_puts_by_person on array_puts (entity_id);
create index array_puts_by_run on array_puts (run_id);
"""

EMPTIED_ROWS: Final = """
update persons
set
    due_since = ifnull(due_since, advo_seen_at),
    due_reason = iif(
        due_since is null or due_reason = 'modified in EspoCRM',
        'a row that was emptied still carries our marker',
        due_reason
    )
where advo_seen_at is not null
    and exists (
        select 1
        from advo_entries
        where advo_entries.betnr = persons.betnr
            and advo_entries.canonical is null
            and advo_entries.channel is not null
            and advo_entries.marker_kind = 'marker'
            and not exists (
                select 1
                from baseline
                where baseline.entity_id = persons.entity_id
                    and baseline.betnr = persons.betnr
                    and baseline.komm_id = advo_entries.komm_id
            )
    );
"""

FORMER_ENTRIES_TABLE: Final = """
create table former_entries (
    entity_id text not null,
    channel text not null check (channel in ('phone', 'mail')),
    canonical text not null,
    value text not null,
    opt_out integer not null default 0 check (opt_out in (0, 1)),
    invalid integer not null default 0 check (invalid in (0, 1)),
    seen_at text,
    primary key (entity_id, channel, canonical)
) strict;
create index former_entries_by_canonical on former_entries (canonical);
insert or ignore into former_entries
select
    entity_id,
    channel,
    iif(channel = 'mail', lower(old_value), old_value),
    old_value,
    ifnull(json_extract(before, '$.opt_out'), 0),
    ifnull(json_extract(before, '$.invalid'), 0),
    finished_at
from changes
where side = 'espo'
    and state = 'done'
    and channel is not null
    and old_value is not null
    and (json_extract(before, '$.opt_out') or json_extract(before, '$.invalid'))
    and not exists (
        select 1
        from espo_entries
        where espo_entries.entity_id = changes.entity_id
            and espo_entries.channel = changes.channel
            and espo_entries.value = changes.old_value
    )
order by id desc;
"""

RUN_OUTCOMES: Final = """
alter table runs rename column outcome to outcome_before;
alter table runs add column outcome text check (
    outcome in ('done', 'failed_persons', 'held', 'outage', 'locked', 'stopped', 'abandoned', 'refused', 'crashed')
);
update runs
set outcome = outcome_before;
alter table runs drop column outcome_before;
"""

UNCLEAR_VALUES: Final = """
alter table espo_entries add column doubt text;
alter table espo_entries add column readings text;
alter table advo_entries add column doubt text;
alter table advo_entries add column readings text;
create table left_alone_2 (
    id integer primary key,
    entity_id text not null,
    betnr integer,
    side text not null check (side in ('espo', 'advo')),
    komm_id integer,
    channel text check (channel in ('phone', 'mail')),
    value text,
    reason text not null check (reason in ('unsyncable', 'held_back', 'duplicate', 'unclear')),
    direction text check (direction in ('both', 'to_advoware', 'to_espocrm')),
    detail text,
    since text not null
) strict;
insert into left_alone_2 (id, entity_id, betnr, side, komm_id, channel, value, reason, direction, detail, since)
select id, entity_id, betnr, side, komm_id, channel, value, reason, direction, detail, since
from left_alone;
drop table left_alone;
alter table left_alone_2 rename to left_alone;
create unique index left_alone_once on left_alone (
    entity_id, side, ifnull(komm_id, -1), ifnull(channel, ''), ifnull(value, ''), reason
);
create index left_alone_held_back on left_alone (entity_id, direction) where reason = 'held_back';
"""

ENDINGS_TABLE: Final = """
create table endings (
    id integer primary key,
    entity_id text not null,
    betnr integer,
    kind text not null check (
        kind in ('gone_in_advoware', 'gone_in_espocrm', 'no_betnr', 'other_betnr', 'shared_betnr')
    ),
    seen_betnr integer,
    run_id integer,
    seen_at text not null,
    last_seen_at text not null,
    ended_at text,
    approved integer not null default 0 check (approved in (0, 1)),
    returned_at text
) strict;
create unique index endings_open on endings (entity_id) where ended_at is null and returned_at is null;
create index endings_of_betnr on endings (betnr, entity_id) where ended_at is null and returned_at is null;
create index endings_ended on endings (entity_id, betnr) where ended_at is not null;

create table holds_of_any_kind (
    id integer primary key autoincrement,
    run_id integer not null references runs (id),
    entity_id text not null,
    betnr integer,
    kind text not null check (kind in ('removals', 'configuration', 'recovery', 'second_writer', 'endings')),
    reason text,
    digest text,
    until_edited integer not null default 0 check (until_edited in (0, 1)),
    held_at text not null,
    released_at text,
    released_by text
) strict;
insert into sqlite_sequence (name, seq)
select 'holds_of_any_kind', seq
from sqlite_sequence
where name = 'holds';
insert into holds_of_any_kind
select *
from holds;
drop table holds;
alter table holds_of_any_kind rename to holds;
create unique index holds_open on holds (entity_id, kind) where released_at is null;
create index holds_by_run on holds (run_id);

alter table persons add column synced_betnr integer;
update persons
set synced_betnr = coalesce(
    agreed_betnr,
    (
        select max(baseline.betnr)
        from baseline
        where baseline.entity_id = persons.entity_id
    ),
    iif(status = 'clean' and due_since is null and gone_at is null, betnr, null)
);
insert into endings (entity_id, betnr, kind, seen_betnr, seen_at, last_seen_at, ended_at)
select
    entity_id,
    iif(last_sync_at is null, null, betnr),
    case
        when gone_at is not null then 'gone_in_espocrm'
        when status = 'conflict' then 'shared_betnr'
        else 'gone_in_advoware'
    end,
    iif(gone_at is null, betnr, null),
    coalesce(gone_at, advo_seen_at, espo_seen_at, '1970-01-01 00:00:00'),
    coalesce(gone_at, advo_seen_at, espo_seen_at, '1970-01-01 00:00:00'),
    coalesce(gone_at, advo_seen_at, espo_seen_at, '1970-01-01 00:00:00')
from persons
where synced_betnr is null
    and betnr is not null
    and (gone_at is not null or status in ('conflict', 'deleted_in_advoware'));
"""

ESPO_VERSION: Final = """
alter table runs add column espo_version text;
"""

ESPO_LOCKS: Final = """
alter table persons add column espo_locked integer not null default 0 check (espo_locked in (0, 1));
create index persons_locked on persons (entity_id) where espo_locked = 1 and betnr is not null and gone_at is null;
"""

HOLDS_SHOWN_AND_LET_BE: Final = """
alter table holds add column own_values integer not null default 0 check (own_values in (0, 1));
alter table holds add column shown_at text;
alter table holds add column let_be_at text;
alter table holds add column entries_digest text;
"""

ARRIVALS_TABLE: Final = """
create table arrivals (
    id integer primary key,
    run_id integer not null references runs (id),
    entity_id text not null,
    betnr integer,
    edited_in text not null check (edited_in in ('espo', 'advo')),
    edited_at text not null,
    arrived_at text
) strict;
create unique index arrivals_on_the_way on arrivals (entity_id, edited_in) where arrived_at is null;
create index arrivals_by_time on arrivals (arrived_at) where arrived_at is not null;
create index arrivals_by_run on arrivals (run_id);
"""

MIGRATIONS: Final[tuple[str, ...]] = (
    PERSONS_TABLE + SNAPSHOT_TABLES + BASELINE_TABLES + JOURNAL_TABLES + PROGRAM_TABLES,  # 001
    RUN_CHUNKS,  # 002: chunks of longer work belong together
    LOOKUP_INDEXES,  # 003: a run over a large firm that finds nothing reads indexes only
    BASELINE_BETNR,  # 004: whether a first sync came to its end, of each link
    ARRAY_PUTS_TABLE,  # 005: what an array PUT carried, and what a read showed of it
    EMPTIED_ROWS,  # 006: whoever has an emptied row that no plan made a slot of is due
    FORMER_ENTRIES_TABLE,  # 007: an opt-out outlives the last record that held the value
    RUN_OUTCOMES,  # 008: a run may be refused, or crash
    UNCLEAR_VALUES,  # 009: values nobody can read with certainty
    ENDINGS_TABLE,  # 010: who vanished, when that was first seen, and what became of it
    ESPO_VERSION,  # 011: which EspoCRM a run talked to, so that an upgrade is noticed
    ESPO_LOCKS,  # 012: a record that staff locked waits
    "",  # 013: views say of a held person that it is held
    HOLDS_SHOWN_AND_LET_BE,  # 014: staff see who is held for its own values; an operator may let a person be
    ARRIVALS_TABLE,  # 015: how long edits took to arrive on the other side
    "",  # 016: views leave out what is left alone of records that are gone
)
"""Migration *n* (counted from 1) leads from version *n* - 1 to version *n*; ``pragma user_version`` holds it."""
