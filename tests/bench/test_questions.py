"""Every view, question and figure answers quickly on the store of a large firm: 50,000 persons, half a year of runs.

Measured on one core of a small server: the slowest, `differences`, takes 0.6 seconds of its time. The bound is
generous, because machines differ; what it catches is a missing index, which costs minutes. The figures one by one:
``pytest tests/bench/test_questions.py -o junit_family=xunit1 --junitxml=figures.xml``
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from etl.store.database import Store
from etl.store.queries.canned import CANNED_QUERIES
from etl.store.queries.charts import CHART_QUERIES
from etl.store.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

PERSONS, RUNS, CHANGES = 50_000, 17_000, 150_000
BOUND_SECONDS = 2.0
NOW = "2026-08-30 10:00:00"

NUMBERS = "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {count})"

FILL = f"""
{NUMBERS.format(count=PERSONS)}
insert into persons (entity_id, betnr, name, status, espo_seen_at, advo_seen_at, last_sync_at, due_since, error)
select
    printf('%017x', n), iif(n % 15, 100000 + n, null), 'Person ' || n,
    case when n % 97 = 0 then 'failed' when n % 15 = 0 then null else 'clean' end,
    datetime('{NOW}', '-' || (n % 86400) || ' seconds'), datetime('{NOW}', '-' || (n * 7 % 300000) || ' seconds'),
    '{NOW}', iif(n % 50, null, '{NOW}'), iif(n % 97, null, 'EspoCRM refused it')
from numbers;

{NUMBERS.format(count=PERSONS * 3)}
insert into espo_entries (entity_id, channel, position, value, canonical, type, raw)
select
    printf('%017x', 1 + n / 3), iif(n % 3, 'phone', 'mail'), n % 3,
    iif(n % 3, '+49511' || (2000000 + iif(n % 500, n, 0)), 'person' || n || '@kanzlei-muster.de'),
    iif(n % 3, '+49511' || (2000000 + iif(n % 500, n, 0)), 'person' || n || '@kanzlei-muster.de'),
    iif(n % 3, 'Office', null), '{{}}'
from numbers;

{NUMBERS.format(count=PERSONS * 3)}
insert into advo_entries (betnr, komm_id, row_id, value, canonical, remark, own_text, marker_kind, channel, komm_kz)
select
    100001 + n / 3, n, 'ROW' || n,
    iif(n % 3, '0511 ' || (2000000 + n), 'person' || n || '@kanzlei-muster.de'),
    iif(n % 3, '+49511' || (2000000 + n + (n % 101 = 0)), 'person' || n || '@kanzlei-muster.de'),
    'Büro', 'Büro', 'marker', iif(n % 3, 'phone', 'mail'), 0
from numbers;

update advo_entries
set value = value || ' privat', canonical = '? ' || value || ' privat', doubt = 'words', readings = '0511 1'
where komm_id % 50 = 1;

insert into left_alone (entity_id, betnr, side, channel, value, reason, detail, since)
select entity_id, betnr, 'advo', 'phone', 'siehe Akte', 'unsyncable', 'not an international number', '{NOW}'
from persons
where betnr % 8 = 0;

{NUMBERS.format(count=RUNS)}
insert into runs (trigger, operator, started_at, finished_at, outcome, persons_seen)
select
    iif(n % 96, 'sync', 'sweep'), iif(n % 500, null, 'anna'),
    datetime('{NOW}', printf('-%d minutes', ({RUNS} - n) * 15)),
    datetime('{NOW}', printf('-%d minutes', ({RUNS} - n) * 15), '+' || (n % 40) || ' seconds'),
    iif(n % 100, 'done', 'outage'), 500
from numbers;

{NUMBERS.format(count=PERSONS)}
insert into arrivals (run_id, entity_id, edited_in, edited_at, arrived_at)
select
    1 + n % {RUNS}, printf('%017x', n), iif(n % 3, 'espo', 'advo'),
    datetime('{NOW}', printf('-%d minutes', n * 5 % 260000 + n % 90)),
    datetime('{NOW}', printf('-%d minutes', n * 5 % 260000))
from numbers;

{NUMBERS.format(count=CHANGES)}
insert into decisions (run_id, entity_id, betnr, variant, reason, state, created_at)
select
    1 + n % {RUNS}, printf('%017x', 1 + n * 31 % {PERSONS}), 100001 + n * 31 % {PERSONS}, 'var' || (1 + n % 6),
    'changed', 'settled', datetime('{NOW}', printf('-%d minutes', ({RUNS} - n % {RUNS}) * 15))
from numbers;

insert into changes (
    run_id, decision_id, entity_id, betnr, variant, reason, side, action, old_value, new_value, state, settled,
    started_at, finished_at
)
select
    run_id, id, entity_id, betnr, variant, reason, iif(id % 2, 'espo', 'advo'), 'update', '0511 ' || id,
    '+49511' || (2000000 + id), 'done', 1, created_at, created_at
from decisions;

insert into conflicts (run_id, change_id, entity_id, betnr, variant, espo_value, advo_value, kept, created_at)
select run_id, id, entity_id, betnr, 'clash', new_value, old_value, 'espo', finished_at
from changes
where id % 60 = 0;

insert into holds (run_id, entity_id, betnr, kind, reason, held_at)
select 1, entity_id, betnr, 'removals', 'too many', '{NOW}'
from persons
where betnr % 700 = 0;

analyze;
"""


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("large") / "state.db", now=NOW, durable=False) as store:
        store.db.executescript(FILL)
        yield store


SQL_BY_NAME: dict[str, str] = {
    **{f"view {name}": f"select * from {name}" for name in VIEWS},
    **{f"question {name}": question.sql for name, question in CANNED_QUERIES.items()},
    **{f"figure {name}": sql for name, sql in CHART_QUERIES.items()},
}

PARAMETERS: dict[str, Any] = {
    "person": "104861",
    "run": "812",
    "value": "+495112000500",
    "name_or_number": "Person 4860",
    "since": "2026-08-01 00:00:00",
    "until": "2026-08-31 00:00:00",
}


@pytest.mark.parametrize("name", SQL_BY_NAME)
def test_it_answers_at_once_on_fifty_thousand_persons(
    large_store: Store, name: str, record_property: Callable[[str, object], None]
) -> None:
    parameters = {key: value for key, value in PARAMETERS.items() if f":{key}" in SQL_BY_NAME[name]}
    started = time.thread_time()
    rows = large_store.rows(SQL_BY_NAME[name], parameters)
    seconds = time.thread_time() - started
    record_property("seconds", seconds)
    assert rows or "last_week" in name  # the store's week is not the calendar's
    assert seconds < BOUND_SECONDS
