"""EspoCRM as the sync sees it: lists that are whole, records with their items, one PUT at a time (espocrm-api.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack

from etl.clients.ask import Ask, Surroundings, World, header_safe, web_address
from etl.clients.espocrm_asking import APP_USER, HABITS, SYSTEM, ApiKey, Asking
from etl.clients.espocrm_filters import any_of, as_params, asking, compare, page_of
from etl.clients.espocrm_payload import (
    ARRAYS,
    EspoServer,
    EspoUser,
    field_names,
    has_arrays,
    read_ids,
    read_page,
    read_record,
    read_server,
    read_user,
    selected,
)
from etl.clients.http import Border
from etl.clients.listing import Filter, Order, Page, Question, walk
from etl.errors import ConfigError, Gone, PersonError, RunEnds, UnknownOutcome

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import SecretStr

    from etl.records import Channel, EspoRecord, Listing

BEGINNING = "1970-01-01 00:00:00"
LARGEST_PAGE = 200  # 201 → 403 (espocrm-api.md, Reading)
BETNR_A_FILTER = 100  # an ``in`` filter of 300 ids overflows an 8 kB URL (ibid.)

MOST_HOLDERS = 20
"""Records of one answer that hold a value: one of them is read, the others stand by."""

class EspoCrm:
    """One EspoCRM and one entity in it. Reads may overlap; raises what ``etl.clients.http`` says.

    ``fields`` maps our names of the custom fields to EspoCRM's (``espocrm_payload.FIELDS`` holds both).
    """

    def __init__(  # noqa: PLR0913 - the section ``espocrm`` of config.yaml and the world around it
        self,
        *,
        url: str,
        api_key: SecretStr,
        entity: str = "CBeteiligte",
        fields: Mapping[str, str] | None = None,
        page_size: int = LARGEST_PAGE,
        timeout_seconds: float = 30,
        outage_after: int = 3,
        **world: Unpack[World],
    ) -> None:
        self.entity = entity
        self.fields = field_names(fields)
        self._unread: frozenset[Channel] = frozenset()
        self._page_size = min(page_size, LARGEST_PAGE)
        root = web_address(url, "espocrm.url").removesuffix("/api/v1") + "/api/v1"
        key = header_safe(api_key, "espocrm.api_key")
        self.border = Border(
            HABITS,
            timeout_seconds=timeout_seconds,
            outage_after=outage_after,
            world=Surroundings(**world),
            auth=ApiKey(key),
            secrets=lambda: (key,),
        )
        self._asking = Asking(root, self.border)

    def __repr__(self) -> str:
        return f"EspoCrm({self._asking.root!r}, {self.entity!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.border.close()

    @property
    def calls(self) -> Counter[str]:
        """Requests so far by method, repetitions included."""
        return self.border.calls

    # What EspoCRM is ---------------------------------------------------------------------------------------------

    def user(self) -> EspoUser:
        """Who the key belongs to, and what it may do; ``CredentialsRefused`` when nobody.

        A channel that it may not read is left out of every record from then on (espocrm-api.md ² 14).
        """
        user = read_user(self._asking.look(APP_USER), self.entity)
        self._unread = user.channels_it_may_not("read")
        return user

    def server(self) -> EspoServer:
        """Version, phone rules, limits and maintenance."""
        return read_server(self._asking.look("Settings"))

    def field_defs(self) -> dict[str, Any]:
        """The entity's fields by EspoCRM's name; the only place where a missing custom field shows."""
        shown = self._asking.metadata(f"entityDefs.{self.entity}.fields")
        if not isinstance(shown, dict):
            rights = "or the API user's role has no rights on it"
            raise ConfigError(f"espocrm.entity: EspoCRM knows no entity {self.entity}, {rights}")
        return shown

    def demand_entity(self) -> None:
        """``ConfigError`` where there is no such entity; where our role has no rights on it, it still is one."""
        if not self._asking.knows(self.entity):
            raise self._unknown_entity

    def has_stream(self) -> bool:
        """Whether people can see the notes of the entity's records; EspoCRM takes them either way (² 16)."""
        return self._asking.metadata(f"scopes.{self.entity}.stream") is True

    # Lists -------------------------------------------------------------------------------------------------------

    def modified_since(self, cursor: str | None) -> Iterator[Page]:
        """All records modified at or after ``cursor`` (UTC text; ``None``: all), oldest first, page by page.

        Complete only when the iterator ends without an exception. A record saved during the walk comes twice; the
        later one counts. Records that never got a ``modifiedAt`` come in ``everyone`` only.
        """
        start = [compare("greaterThanOrEquals", "modifiedAt", cursor or BEGINNING)]
        return self.walk([], start=start, order=Order.MODIFIED)

    def due(self, now: str, syncing_before: str) -> list[Listing]:
        """Linked records whose status asks for a look (rules.md §1, Candidates), complete.

        ``pending_sync`` and ``dirty``; ``failed`` whose retry, ``permanently_failed`` whose reset time is ``now`` or
        past; ``syncing`` and not modified after ``syncing_before``. Both times are UTC text.
        """
        return _all(self.walk([self._has_betnr(), asking(self.fields, now, syncing_before)]))

    def linked(self, after_id: str | None, limit: int) -> Page:
        """The next ``limit`` records with a ``betnr`` behind ``after_id``, by id: one chunk of a sweep.

        Fewer than ``limit`` means the end. ``answered_at`` is the ``Date`` of its first page.
        """
        start = [compare("greaterThan", "id", after_id)] if after_id else []
        pages = list(self.walk([self._has_betnr()], start=start, limit=limit))
        return Page(tuple(listing for page in pages for listing in page.listings), pages[0].answered_at)

    def everyone(self) -> Iterator[Page]:
        """All records, linked or not, by id, page by page; complete only when the iterator ends by itself."""
        return self.walk([])

    def with_betnr(self, betnrs: Sequence[int]) -> list[Listing]:
        """The records linked to any of ``betnrs``, complete; several may share one."""
        chunks = (betnrs[at : at + BETNR_A_FILTER] for at in range(0, len(betnrs), BETNR_A_FILTER))
        name = self.fields["betnr"]
        return [listing for chunk in chunks for listing in _all(self.walk([compare("in", name, list(chunk))]))]

    def walk(
        self,
        where: Sequence[Filter],
        *,
        start: Sequence[Filter] = (),
        order: Order = Order.ID,
        limit: int | None = None,
    ) -> Iterator[Page]:
        """The records under EspoCRM's own filters ``where``; see ``etl.clients.listing.walk``."""
        return walk(self._page, where, start=start, order=order, page_size=self._page_size, limit=limit)

    def holders(self, values: Iterable[tuple[Channel, str]]) -> list[str]:
        """The ids of records in which any of these numbers and mails stands, up to ``MOST_HOLDERS`` a request.

        A number is found only as it is stored, a mail in any letter case, be it primary or not (espocrm-api.md ², 2).
        ``Refused`` when the key may not ask. One request, but for more values than an address of the web can hold.
        """
        found = [one for asked in any_of(values) for one in self._holders(asked)]
        return list(dict.fromkeys(found))

    # Records -----------------------------------------------------------------------------------------------------

    def fetch(self, entity_id: str) -> EspoRecord:
        """One record with its items; ``Gone`` when deleted, ``Malformed`` when it lacks what it must have."""
        ask = Ask("GET", self._asking.url(self.entity, entity_id), missing=Gone(SYSTEM, entity_id))
        return read_record(self._asking.of_person(ask), self.fields, entity_id, self._unread)

    def write(
        self,
        entity_id: str,
        values: Mapping[str, object],
        items: Mapping[Channel, Sequence[Mapping[str, object]]] | None = None,
        version: int | None = None,
    ) -> EspoRecord:
        """PUT ``values`` (our names, times as UTC text) and whole arrays of ``items``; the record as answered.

        A channel left out of ``items`` stays as it is; an empty one is cleared. Without ``items`` the answer's arrays
        are those stored now, with ``items`` merely an echo (espocrm-api.md, fact 11). ``Moved`` when ``version`` is
        outdated; ``Refused`` and ``Gone`` mean that nothing was written.
        """
        body = {self.fields[name]: value for name, value in values.items()}
        body |= {ARRAYS[channel][0]: list(of_channel) for channel, of_channel in (items or {}).items()}
        headers = {} if version is None else {"X-Version-Number": str(version)}
        url, missing = self._asking.url(self.entity, entity_id), Gone(SYSTEM, entity_id)
        answer = self._asking.of_person(Ask("PUT", url, body=body, headers=headers, missing=missing))
        try:
            if not has_arrays(answer.payload, self._unread):
                return self.fetch(entity_id)
            return read_record(answer, self.fields, entity_id, self._unread)
        except (PersonError, RunEnds) as error:
            raise UnknownOutcome(SYSTEM, f"the answer to a PUT of {entity_id} cannot be read: {error}") from error

    def note(self, entity_id: str, text: str) -> None:
        """Post ``text`` to the record's stream."""
        body = {"type": "Post", "parentType": self.entity, "parentId": entity_id, "post": text}
        self.border.send(Ask("POST", self._asking.url("Note"), body=body, missing=Gone(SYSTEM, entity_id)))

    # How it is asked ---------------------------------------------------------------------------------------------

    @property
    def _unknown_entity(self) -> ConfigError:
        todo = "correct it, or make the entity in the Entity Manager (type Person)"
        return ConfigError(f"espocrm.entity: EspoCRM knows no entity {self.entity}; {todo}")

    def _has_betnr(self) -> Filter:
        return {"type": "isNotNull", "attribute": self.fields["betnr"]}

    def _page(self, question: Question) -> Page:
        headers = {} if question.counted else {"X-No-Total": "true"}
        params = as_params(page_of(question, selected(self.fields)))
        ask = Ask("GET", self._asking.url(self.entity), params, headers=headers, missing=self._unknown_entity)
        return read_page(self._asking.of_nobody(ask, f"to list {self.entity}"), self.fields)

    def _holders(self, anyone: Filter) -> list[str]:
        search = {"where": [anyone], "select": ["id"], "orderBy": "id", "order": "asc", "maxSize": MOST_HOLDERS}
        ask = Ask("GET", self._asking.url(self.entity), as_params(search), missing=Gone(SYSTEM, self.entity))
        return read_ids(self._asking.of_person(ask), MOST_HOLDERS)


def _all(pages: Iterator[Page]) -> list[Listing]:
    return [listing for page in pages for listing in page.listings]
