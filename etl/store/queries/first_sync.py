"""What a store that was only looked into knows of the two systems' data: the report before the first sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from etl.store.database import Store

RECORD_COUNTS: Final = """
select
    count(*) as records,
    ifnull(sum(betnr is not null), 0) as linked,
    ifnull(sum(betnr is null), 0) as not_linked,
    ifnull(sum(ifnull(espo_fingerprint, '') <> ''), 0) as synced_before
from persons
where gone_at is null
"""

ENTRY_COUNTS: Final = """
select
    (
        select count(*)
        from espo_entries
    ) as items,
    (
        select count(*)
        from advo_entries
        where channel is not null
            and canonical is not null
    ) as rows,
    (
        select count(*)
        from advo_entries
        where channel is null
    ) as not_relevant,
    (
        select count(*)
        from advo_entries
        where marker_kind = 'marker'
    ) as marked,
    (
        select count(*)
        from advo_entries
        where is_slot = 1
    ) as slots
"""

SHARED_BETNRS: Final = """
select
    betnr,
    group_concat(entity_id, ', ') as entity_ids
from (
    select betnr, entity_id
    from persons
    where betnr is not null
        and gone_at is null
    order by entity_id
)
group by betnr
having count(*) > 1
order by betnr
"""

PERSONS_MISSING_IN_ADVOWARE: Final = """
select
    persons.entity_id,
    persons.betnr,
    persons.name
from persons
where persons.gone_at is null
    and (
        persons.status is 'deleted_in_advoware'
        or exists (
            select 1
            from endings
            where endings.entity_id = persons.entity_id
                and endings.kind = 'gone_in_advoware'
                and endings.ended_at is null
                and endings.returned_at is null
        )
    )
order by persons.entity_id
"""

FREE_TEXT_ENTRIES: Final = """
select
    persons.entity_id,
    persons.betnr,
    'espo' as side,
    espo_entries.value
from espo_entries
join persons using (entity_id)
where espo_entries.channel = 'phone'
    and espo_entries.doubt is null
    and espo_entries.canonical not like '+%'
union all
select
    persons.entity_id,
    persons.betnr,
    'advo',
    advo_entries.value
from advo_entries
join persons using (betnr)
where advo_entries.channel = 'phone'
    and advo_entries.doubt is null
    and advo_entries.canonical not like '+%'
order by 1, 3, 4
"""

UNCLEAR_ENTRIES: Final = """
select
    persons.entity_id,
    persons.betnr,
    'espo' as side,
    espo_entries.value,
    espo_entries.doubt
from espo_entries
join persons using (entity_id)
where espo_entries.doubt is not null
union all
select
    persons.entity_id,
    persons.betnr,
    'advo',
    advo_entries.value,
    advo_entries.doubt
from advo_entries
join persons using (betnr)
where advo_entries.doubt is not null
    and advo_entries.channel is not null
order by 1, 3, 4
"""

GUESSED_KOMM_KZ: Final = """
select
    betnr,
    komm_id
from advo_entries
where marker_komm_kz is null
    and komm_kz = 0
    and field_komm_kz is null
    and canonical is not null
"""
"""Rows whose kommKz nothing in Advoware tells."""

FIRST_SYNC_QUERIES: Final = {
    "records": RECORD_COUNTS,
    "entries": ENTRY_COUNTS,
    "shared_betnr": SHARED_BETNRS,
    "not_in_advoware": PERSONS_MISSING_IN_ADVOWARE,
    "free_text": FREE_TEXT_ENTRIES,
    "unclear": UNCLEAR_ENTRIES,
    "komm_kz_untold": GUESSED_KOMM_KZ,
}


def first_sync_figures(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every question, all of one moment."""
    with store.read_transaction():
        return {name: store.rows(sql) for name, sql in FIRST_SYNC_QUERIES.items()}
