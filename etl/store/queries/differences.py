"""Who may need a plan: everybody but those whose two sides show exactly what was agreed, and nothing else.

Most looks find nothing. To tell that, values need not be understood, only compared as they stand; so it is asked of the
database, a thousand times cheaper than a plan. Whoever is in doubt is planned: this may only ever err towards a plan,
which a test holds against the plan itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.records import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.values.kommkz import KommKzTable
    from etl.store.database import Store

UNCHANGED_PAIRS: Final = """
    select count(distinct espo_entries.canonical)
    from baseline
    join advo_entries using (betnr, komm_id)
    join espo_entries using (entity_id)
    where baseline.entity_id = persons.entity_id
        and baseline.betnr = persons.betnr
        and baseline.unmarked = 0
        and baseline.other_row is null
        and espo_entries.channel = baseline.channel
        and espo_entries.value = baseline.espo_value
        and +espo_entries.canonical = baseline.espo_canonical
        and espo_entries.type is baseline.espo_type
        and advo_entries.channel = baseline.channel
        and advo_entries.value = baseline.advo_value
        and advo_entries.canonical = baseline.advo_canonical
        and advo_entries.canonical = baseline.espo_canonical
        and advo_entries.row_id = baseline.row_id
        and advo_entries.marker_kind = 'marker'
        and advo_entries.marker_canonical = baseline.espo_canonical
        and advo_entries.marker_komm_kz = baseline.komm_kz
        and case
            when baseline.channel = 'mail' then baseline.komm_kz in (select value from json_each(:mails))
            when baseline.espo_canonical glob '+*' then baseline.komm_kz in (select value from json_each(:numbers))
            else baseline.komm_kz in (select value from json_each(:texts))
        end
"""
"""A person's pairs that stand as they were agreed; of two with one canonical value only one counts."""

PERSONS_WITH_DIFFERENCES: Final = f"""
with counted as materialized (
    select
        persons.entity_id,
        (
            select count(*)
            from baseline
            where baseline.entity_id = persons.entity_id
                and baseline.betnr = persons.betnr
        ) as pairs,
        ({UNCHANGED_PAIRS}) as standing,
        (
            select count(*)
            from espo_entries
            where espo_entries.entity_id = persons.entity_id
        ) as items,
        (
            select count(*)
            from advo_entries
            where advo_entries.betnr = persons.betnr
                and advo_entries.channel is not null
                and (advo_entries.value <> '' or advo_entries.marker_kind = 'marker')
        ) as telling_rows,
        exists (
            select 1
            from left_alone
            where left_alone.entity_id = persons.entity_id
        ) as noted
    from json_each(:entity_ids) as chosen
    join persons on persons.entity_id = chosen.value
)
select entity_id
from counted
where pairs = 0
    or noted
    or standing <> pairs
    or items <> pairs
    or telling_rows <> pairs
order by entity_id
"""


def persons_with_differences(store: Store, entity_ids: Sequence[str], table: KommKzTable) -> list[str]:
    """Return those of these persons who may need a plan: something differs from what was agreed, or is noted."""
    komm_kz_by_kind = {
        "mails": table.komm_kzs(Channel.MAIL),
        "numbers": table.komm_kzs(Channel.PHONE),
        "texts": table.komm_kzs(Channel.PHONE, is_number=False),
    }
    return [
        row["entity_id"]
        for row in store.rows(PERSONS_WITH_DIFFERENCES, {"entity_ids": list(entity_ids), **komm_kz_by_kind})
    ]
