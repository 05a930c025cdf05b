pragma user_version = 4;
pragma application_id = 1094997583;
BEGIN TRANSACTION;
CREATE TABLE advo_entries (
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
INSERT INTO "advo_entries" VALUES(104711,88001,'KMHECCAIHHJNLMPPLNFMOCMFKCEAIPMGHIAPGNDO','030/901820','+4930901820','[ESPOCRM:KzQ5MzA5MDE4MjA=:1]','','marker','+4930901820','+4930901820',1,0,0,NULL,'phone',0,0);
INSERT INTO "advo_entries" VALUES(104711,88002,'GMABHINFKINCCDGCBLEKGDNKJMAOIOLAMAGMGFEF','491711234567','+49491711234567',NULL,'','none',NULL,NULL,NULL,0,0,NULL,'phone',0,0);
CREATE TABLE baseline (
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
INSERT INTO "baseline" VALUES('6a93e300a77fac4e1',104711,88001,'phone','+4930901820','+4930901820','Office','030/901820','+4930901820',1,'KMHECCAIHHJNLMPPLNFMOCMFKCEAIPMGHIAPGNDO',NULL,0,NULL,'2026-08-30 08:15:00');
CREATE TABLE changes (
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
INSERT INTO "changes" VALUES(1,1,1,0,'6a93e300a77fac4e1',104711,'link','the same value on both sides, not linked yet','advo','mark',88001,1,'phone','030/901820','030/901820',NULL,'[ESPOCRM:KzQ5MzA5MDE4MjA=:1]','{"online": false, "remark": null, "row_id": "CBJFOCDKLKFJPKIEGJIEANGKDMKPNKDPPFGOEHHL", "value": "030/901820"}','{"online": false, "remark": "[ESPOCRM:KzQ5MzA5MDE4MjA=:1]", "value": "030/901820"}','KMHECCAIHHJNLMPPLNFMOCMFKCEAIPMGHIAPGNDO','done',1,NULL,'2026-08-30 08:15:00','2026-08-30 08:15:00');
INSERT INTO "changes" VALUES(2,2,2,0,'6a93e300a77fac4e1',104711,'var4','new in Advoware','espo','add',88002,1,'phone',NULL,'+49491711234567',NULL,NULL,NULL,'{"channel": "phone", "invalid": false, "opt_out": false, "primary": false, "raw": "{}", "type": "Office", "value": "+49491711234567"}',NULL,'done',0,NULL,'2026-08-30 08:30:00','2026-08-30 08:30:00');
INSERT INTO "changes" VALUES(3,2,2,1,'6a93e300a77fac4e1',104711,'var4','new in Advoware','advo','mark',88002,1,'phone','491711234567','491711234567',NULL,'[ESPOCRM:KzQ5NDkxNzExMjM0NTY3:1]','{"online": false, "remark": null, "row_id": "GMABHINFKINCCDGCBLEKGDNKJMAOIOLAMAGMGFEF", "value": "491711234567"}','{"online": false, "remark": "[ESPOCRM:KzQ5NDkxNzExMjM0NTY3:1]", "value": "491711234567"}',NULL,'started',0,NULL,'2026-08-30 08:30:00',NULL);
CREATE TABLE conflicts (
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
CREATE TABLE decisions (
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
INSERT INTO "decisions" VALUES(1,1,'6a93e300a77fac4e1',104711,'link','the same value on both sides, not linked yet',88001,'phone','{"advo_canonical": "+4930901820", "advo_value": "030/901820", "betnr": 104711, "channel": "phone", "entity_id": "6a93e300a77fac4e1", "espo_canonical": "+4930901820", "espo_type": "Office", "espo_value": "+4930901820", "komm_id": 88001, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": false, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": true, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": false}','settled','2026-08-30 08:15:00');
INSERT INTO "decisions" VALUES(2,2,'6a93e300a77fac4e1',104711,'var4','new in Advoware',88002,'phone','{"advo_canonical": "+49491711234567", "advo_value": "491711234567", "betnr": 104711, "channel": "phone", "entity_id": "6a93e300a77fac4e1", "espo_canonical": "+49491711234567", "espo_type": "Office", "espo_value": "+49491711234567", "komm_id": 88002, "komm_kz": 1, "remark": null, "row_id": null, "unmarked": false}','[]','{"array": true, "base": null, "old_komm_kz": 1, "seen": {"advo_edit": false, "espo_edit": false, "in_advo": true, "in_espo": false, "known": false, "marked": false, "type_edit": false}, "verdict": "go", "writes_espo": true}','planned','2026-08-30 08:30:00');
CREATE TABLE espo_entries (
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
INSERT INTO "espo_entries" VALUES('6a93e300a77fac4e1','phone',0,'+4930901820','+4930901820','Office',1,0,0,'{"invalid": false, "optOut": false, "phoneNumber": "+4930901820", "primary": true, "type": "Office"}');
CREATE TABLE holds (
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
CREATE TABLE lease (
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
CREATE TABLE left_alone (
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
CREATE TABLE persons (
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
, agreed_betnr integer) strict;
INSERT INTO "persons" VALUES('6a93e300a77fac4e1',104711,'Max Muster104711','clean','2026-08-30 08:30:00','changed in Advoware','2026-08-30 08:15:00','7636bf94570c6c7a',0,NULL,NULL,NULL,'2026-08-30 08:30:00','2026-08-30 08:30:00','2026-08-30 08:30:00','syncing','7636bf94570c6c7a','6b0434ad3fef4ae13',NULL,'2026-08-30 08:30:00',0,NULL,'2026-08-30 08:30:00','syncing','7636bf94570c6c7a','syncing','7636bf94570c6c7a',0,NULL,'{}','41ec5c34ccbb2f91',NULL,104711);
CREATE TABLE runs (
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
, part_of integer) strict;
INSERT INTO "runs" VALUES(1,'0.1.0','sync',NULL,NULL,NULL,'vm',8665,'both','person','2026-08-30 08:15:00','2026-08-30 08:15:00','done',1,1,0,5,1,2,1,NULL,'{"advoware": {"GET": 2, "PUT": 1}, "espocrm": {"GET": 5, "PUT": 1}}','{"calls": {"advoware": {"GET": 2, "PUT": 1}, "espocrm": {"GET": 5, "PUT": 1}}, "changes": [], "conflicts": 0, "direction": "both", "drift": {"advoware": 0, "espocrm": 0}, "error": null, "errors": [], "finished_at": "2026-08-30 08:15:00", "notices": [], "outcome": "done", "persons": {"changed": 1, "clean": 1, "failed": 0, "held": 0, "left_alone": 0, "seen": 1, "skipped": 0, "waiting": 0}, "run_id": 1, "started_at": "2026-08-30 08:15:00", "trigger": "sync", "variants": {"link": 1}, "writes": {"advoware": 1, "espocrm": 1}}',NULL);
INSERT INTO "runs" VALUES(2,'0.1.0','sync',NULL,NULL,NULL,'vm',8665,'both','person','2026-08-30 08:30:00',NULL,NULL,0,0,0,0,0,0,0,NULL,NULL,NULL,NULL);
CREATE TABLE settings (
    key text primary key not null,
    value text
) strict;
INSERT INTO "settings" VALUES('instance_id','e2d073fcf0b1c624');
INSERT INTO "settings" VALUES('config_digest','8e84b15a124d81e4');
INSERT INTO "settings" VALUES('cursor','2026-08-30 08:15:00');
CREATE INDEX persons_due on persons (due_since) where due_since is not null;
CREATE INDEX persons_by_status on persons (status, betnr) where gone_at is null;
CREATE INDEX persons_by_retry on persons (next_retry_at) where next_retry_at is not null;
CREATE INDEX persons_by_auto_reset on persons (auto_reset_at) where auto_reset_at is not null;
CREATE INDEX espo_entries_by_canonical on espo_entries (canonical);
CREATE UNIQUE INDEX left_alone_once on left_alone (
    entity_id, side, ifnull(komm_id, -1), ifnull(channel, ''), ifnull(value, ''), reason
);
CREATE INDEX decisions_by_run on decisions (run_id);
CREATE INDEX decisions_by_person on decisions (entity_id);
CREATE INDEX changes_open on changes (entity_id) where settled = 0 and state in ('started', 'done', 'unknown');
CREATE INDEX changes_by_run on changes (run_id);
CREATE INDEX changes_by_person on changes (entity_id);
CREATE INDEX changes_by_decision on changes (decision_id);
CREATE INDEX conflicts_by_person on conflicts (entity_id);
CREATE INDEX conflicts_by_change on conflicts (change_id);
CREATE INDEX conflicts_open on conflicts (run_id) where seen_at is null and restored_at is null;
CREATE UNIQUE INDEX holds_open on holds (entity_id, kind) where released_at is null;
CREATE INDEX holds_by_run on holds (run_id);
CREATE INDEX persons_by_betnr on persons (betnr, gone_at);
CREATE INDEX persons_by_advo_look on persons (advo_seen_at, entity_id) where betnr is not null and gone_at is null;
CREATE INDEX persons_changed on persons (espo_changed_at, advo_changed_at)
    where espo_changed_at is not null or advo_changed_at is not null;
CREATE INDEX left_alone_held_back on left_alone (entity_id, direction) where reason = 'held_back';
CREATE INDEX runs_unfinished on runs (id) where finished_at is null;
CREATE VIEW "last_runs" AS -- What did the latest runs do?
select
    id,
    trigger,
    direction,
    started_at,
    finished_at,
    strftime('%s', finished_at) - strftime('%s', started_at) as seconds,
    outcome,
    persons_seen,
    persons_changed,
    persons_failed,
    espo_reads,
    espo_writes,
    advo_reads,
    advo_writes,
    error
from runs
order by id desc
limit 100;
CREATE VIEW "failing_persons" AS -- Who cannot be synced, why, and when is the next attempt?
select
    entity_id,
    betnr,
    name,
    status,
    error,
    retry_count,
    coalesce(auto_reset_at, next_retry_at) as next_attempt_at,
    last_sync_at,
    due_since
from persons
where status in ('failed', 'permanently_failed')
order by due_since, entity_id;
CREATE VIEW "open_conflicts" AS -- Which values lost and were neither seen by anybody nor restored?
select
    conflicts.id,
    conflicts.created_at,
    conflicts.run_id,
    conflicts.entity_id,
    conflicts.betnr,
    persons.name,
    conflicts.channel,
    conflicts.komm_id,
    conflicts.variant,
    conflicts.espo_value,
    conflicts.advo_value,
    conflicts.kept,
    conflicts.reason
from conflicts
left join persons on persons.entity_id = conflicts.entity_id
where conflicts.seen_at is null
    and conflicts.restored_at is null
order by conflicts.id;
CREATE VIEW "unsyncable_entries" AS -- Which entries can one of the systems not hold?
select
    left_alone.entity_id,
    left_alone.betnr,
    persons.name,
    left_alone.side,
    left_alone.channel,
    left_alone.komm_id,
    left_alone.value,
    left_alone.detail,
    left_alone.since
from left_alone
left join persons on persons.entity_id = left_alone.entity_id
where left_alone.reason = 'unsyncable'
order by left_alone.since, left_alone.id;
CREATE VIEW "stale_persons" AS -- Which linked persons has nobody looked at in Advoware for more than a day?
select
    entity_id,
    betnr,
    name,
    status,
    advo_seen_at,
    round(julianday('now') - julianday(advo_seen_at), 1) as days_since_look
from persons
where betnr is not null
    and gone_at is null
    and (advo_seen_at is null or advo_seen_at < datetime('now', '-1 day'))
order by advo_seen_at, entity_id;
CREATE VIEW "changes_by_day" AS -- How much was written on which day, on which side, for which reason?
select
    date(finished_at) as day,
    side,
    variant,
    action,
    count(*) as changes,
    count(distinct entity_id) as persons
from changes
where state = 'done'
group by day, side, variant, action
order by day desc, side, variant, action;
CREATE VIEW "differences" AS -- What do the two sides, as last seen, not agree on right now?
with
linked as (
    select
        entity_id,
        betnr,
        name,
        due_since
    from persons
    where betnr is not null
        and gone_at is null
        and espo_seen_at is not null
        and advo_seen_at is not null
),
lonely as (
    select
        linked.*,
        'espo' as stands_in,
        items.channel,
        items.value,
        null as komm_id
    from linked
    join espo_entries as items on items.entity_id = linked.entity_id
    where not exists (
        select 1
        from advo_entries as rows
        where rows.betnr = linked.betnr
            and rows.channel = items.channel
            and rows.canonical = items.canonical
    )
    union all
    select
        linked.*,
        'advo' as stands_in,
        rows.channel,
        rows.value,
        rows.komm_id
    from linked
    join advo_entries as rows on rows.betnr = linked.betnr
    where rows.channel is not null
        and rows.canonical is not null
        and not exists (
            select 1
            from espo_entries as items
            where items.entity_id = linked.entity_id
                and items.channel = rows.channel
                and items.canonical = rows.canonical
        )
)
select
    entity_id,
    betnr,
    name,
    channel,
    value,
    stands_in,
    komm_id,
    (
        select group_concat(distinct left_alone.reason)
        from left_alone
        where left_alone.entity_id = lonely.entity_id
            and left_alone.side = lonely.stands_in
            and left_alone.value = lonely.value
    ) as left_alone,
    due_since
from lonely
order by entity_id, channel, stands_in, value;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',2);
COMMIT;
