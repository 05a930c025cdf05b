"""EspoCRM's API for the sync: complete lists, records with their items, one PUT at a time (README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack

from etl.clients.espocrm_payload import (
    ARRAY_FIELDS,
    OWN_FIELDS,
    EspoServer,
    EspoUser,
    field_names,
    has_item_arrays,
    listing_attributes,
    parse_ids,
    parse_page,
    parse_record,
    parse_server,
    parse_user,
)
from etl.clients.espocrm_queries import (
    APP_USER,
    ESPO_QUIRKS,
    SYSTEM,
    ApiKeyAuth,
    EspoApi,
    condition,
    due_filter,
    holder_filters,
    page_search,
    search_params,
)
from etl.clients.http import HttpSession
from etl.clients.paging import Filter, Page, PageRequest, SortOrder, iter_pages
from etl.clients.request import ApiRequest, ClientEnvironment, ClientOptions, check_header_value, check_url
from etl.errors import ConfigError, NotFound, PersonError, RunAborted, UnknownOutcome

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import SecretStr

    from etl.records import Channel, EspoListing, EspoRecord

EPOCH = "1970-01-01 00:00:00"
MAX_PAGE_SIZE = 200  # 201 → 403 (EspoCRM, Reading)
BETNRS_PER_QUERY = 100  # an ``in`` filter of 300 ids overflows an 8 kB URL (ibid.)

HOLDERS_PER_QUERY = 20
"""Records of one answer that hold a value: one of them is read, the others stand by."""

class EspoClient:
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
        page_size: int = MAX_PAGE_SIZE,
        timeout_seconds: float = 30,
        outage_after: int = 3,
        **options: Unpack[ClientOptions],
    ) -> None:
        self.entity = entity
        self.fields = field_names(fields)
        self._unreadable_channels: frozenset[Channel] = frozenset()
        self._page_size = min(page_size, MAX_PAGE_SIZE)
        root = check_url(url, "espocrm.url").removesuffix("/api/v1") + "/api/v1"
        key = check_header_value(api_key, "espocrm.api_key")
        self.session = HttpSession(
            ESPO_QUIRKS,
            timeout_seconds=timeout_seconds,
            outage_after=outage_after,
            environment=ClientEnvironment(**options),
            auth=ApiKeyAuth(key),
            secrets=lambda: (key,),
        )
        self._api = EspoApi(root, self.session)

    def __repr__(self) -> str:
        return f"EspoCrm({self._api.root!r}, {self.entity!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    @property
    def calls(self) -> Counter[str]:
        """Requests so far by method, repetitions included."""
        return self.session.calls

    # What EspoCRM is ---------------------------------------------------------------------------------------------

    def get_user(self) -> EspoUser:
        """Who the key belongs to, and what it may do; ``CredentialsRefused`` when nobody.

        A channel that it may not read is left out of every record from then on (EspoCRM fact B14).
        """
        user = parse_user(self._api.get(APP_USER), self.entity)
        self._unreadable_channels = user.forbidden_channels("read")
        return user

    def get_server(self) -> EspoServer:
        """Version, phone rules, limits and maintenance."""
        return parse_server(self._api.get("Settings"))

    def get_field_defs(self) -> dict[str, Any]:
        """The entity's fields by EspoCRM's name; the only place where a missing custom field shows."""
        definitions = self._api.get_metadata(f"entityDefs.{self.entity}.fields")
        if not isinstance(definitions, dict):
            rights = "or the API user's role has no rights on it"
            raise ConfigError(f"espocrm.entity: EspoCRM knows no entity {self.entity}, {rights}")
        return definitions

    def require_entity(self) -> None:
        """``ConfigError`` where there is no such entity; where our role has no rights on it, it still is one."""
        if not self._api.has_entity(self.entity):
            raise self._unknown_entity_error

    def has_stream(self) -> bool:
        """Whether people can see the notes of the entity's records; EspoCRM takes them either way (fact B16)."""
        return self._api.get_metadata(f"scopes.{self.entity}.stream") is True

    def has_locks(self) -> bool:
        """Whether staff can lock records of the entity (EspoCRM 10, fact B17)."""
        return self._api.get_metadata(f"scopes.{self.entity}.lockable") is True

    def fields_under_lock(self) -> list[str]:
        """Those of our fields that a lock covers: a PUT with one of them is refused as a whole (fact B23)."""
        definitions = self.get_field_defs()
        return [name for name in OWN_FIELDS if definitions.get(self.fields[name], {}).get("notLockable") is not True]

    def has_transactional_save(self) -> bool:
        """Whether a save is stored whole or not at all (EspoCRM 10, fact B24)."""
        return self._api.get_metadata(f"entityDefs.{self.entity}.transactionalSave") is True

    # Lists -------------------------------------------------------------------------------------------------------

    def iter_modified_since(self, cursor: str | None) -> Iterator[Page]:
        """All records modified at or after ``cursor`` (UTC text; ``None``: all), oldest first, page by page.

        Complete only when the iterator ends without an exception. A record saved during the walk comes twice; the
        later one counts. Records that never got a ``modifiedAt`` come in ``everyone`` only.
        """
        start = [condition("greaterThanOrEquals", "modifiedAt", cursor or EPOCH)]
        return self.iter_pages([], start=start, order=SortOrder.MODIFIED)

    def list_due(self, now: str, syncing_before: str) -> list[EspoListing]:
        """Linked records whose status asks for a look (rules §1, Candidates), complete.

        ``pending_sync`` and ``dirty``; ``failed`` whose retry, ``permanently_failed`` whose reset time is ``now`` or
        past; ``syncing`` and not modified after ``syncing_before``. Both times are UTC text.
        """
        return _flatten(self.iter_pages([self._betnr_filter(), due_filter(self.fields, now, syncing_before)]))

    def list_sweep_chunk(self, after_id: str | None, limit: int) -> Page:
        """The next ``limit`` records with a ``betnr`` behind ``after_id``, by id: one chunk of a sweep.

        Fewer than ``limit`` means the end. ``answered_at`` is the ``Date`` of its first page.
        """
        start = [condition("greaterThan", "id", after_id)] if after_id else []
        pages = list(self.iter_pages([self._betnr_filter()], start=start, limit=limit))
        return Page(tuple(listing for page in pages for listing in page.listings), pages[0].answered_at)

    def list_by_betnr(self, betnrs: Sequence[int]) -> list[EspoListing]:
        """The records linked to any of ``betnrs``, complete; several may share one."""
        chunks = (betnrs[start : start + BETNRS_PER_QUERY] for start in range(0, len(betnrs), BETNRS_PER_QUERY))
        name = self.fields["betnr"]
        return [
            listing for chunk in chunks for listing in _flatten(self.iter_pages([condition("in", name, list(chunk))]))
        ]

    def iter_pages(
        self,
        where: Sequence[Filter],
        *,
        start: Sequence[Filter] = (),
        order: SortOrder = SortOrder.ID,
        limit: int | None = None,
    ) -> Iterator[Page]:
        """The records under EspoCRM's own filters ``where``; see ``etl.clients.paging.iter_pages``."""
        return iter_pages(self._fetch_page, where, start=start, order=order, page_size=self._page_size, limit=limit)

    def list_holders(self, values: Iterable[tuple[Channel, str]]) -> list[str]:
        """The ids of records in which any of these numbers and mails stands, up to ``HOLDERS_PER_QUERY`` a request.

        A number is found only as it is stored, a mail in any letter case, be it primary or not (EspoCRM fact B2).
        ``Refused`` when the key may not ask. One request, but for more values than an address of the web can hold.
        """
        entity_ids = [
            entity_id for holder_filter in holder_filters(values) for entity_id in self._fetch_holders(holder_filter)
        ]
        return list(dict.fromkeys(entity_ids))

    # Records -----------------------------------------------------------------------------------------------------

    def fetch(self, entity_id: str) -> EspoRecord:
        """One record with its items.

        ``NotFound`` when deleted, ``MalformedPayload`` when it lacks what it must have.
        """
        request = ApiRequest("GET", self._api.url(self.entity, entity_id), on_404=NotFound(SYSTEM, entity_id))
        return parse_record(self._api.send_for_person(request), self.fields, entity_id, self._unreadable_channels)

    def write(
        self,
        entity_id: str,
        values: Mapping[str, object],
        items: Mapping[Channel, Sequence[Mapping[str, object]]] | None = None,
        version: int | None = None,
    ) -> EspoRecord:
        """PUT ``values`` (our names, times as UTC text) and whole arrays of ``items``; the record as answered.

        A channel left out of ``items`` stays as it is; an empty one is cleared. Without ``items`` the answer's arrays
        are those stored now, with ``items`` merely an echo (EspoCRM fact A11). ``ConcurrentEdit`` when
        ``version`` is outdated; ``Refused`` and ``NotFound`` mean that nothing was written.
        """
        body = {self.fields[name]: value for name, value in values.items()}
        body |= {ARRAY_FIELDS[channel][0]: list(channel_items) for channel, channel_items in (items or {}).items()}
        headers = {} if version is None else {"X-Version-Number": str(version)}
        url, no_record = self._api.url(self.entity, entity_id), NotFound(SYSTEM, entity_id)
        response = self._api.send_for_person(ApiRequest("PUT", url, body=body, headers=headers, on_404=no_record))
        try:
            if not has_item_arrays(response.payload, self._unreadable_channels):
                return self.fetch(entity_id)
            return parse_record(response, self.fields, entity_id, self._unreadable_channels)
        except (PersonError, RunAborted) as error:
            raise UnknownOutcome(SYSTEM, f"the answer to a PUT of {entity_id} cannot be read: {error}") from error

    def post_note(self, entity_id: str, text: str) -> None:
        """Post ``text`` to the record's stream."""
        body = {"type": "Post", "parentType": self.entity, "parentId": entity_id, "post": text}
        self.session.send(ApiRequest("POST", self._api.url("Note"), body=body, on_404=NotFound(SYSTEM, entity_id)))

    # How it is asked ---------------------------------------------------------------------------------------------

    @property
    def _unknown_entity_error(self) -> ConfigError:
        advice = "correct it, or make the entity in the Entity Manager (type Person)"
        return ConfigError(f"espocrm.entity: EspoCRM knows no entity {self.entity}; {advice}")

    def _betnr_filter(self) -> Filter:
        return {"type": "isNotNull", "attribute": self.fields["betnr"]}

    def _fetch_page(self, page_request: PageRequest) -> Page:
        headers = {} if page_request.with_total else {"X-No-Total": "true"}
        params = search_params(page_search(page_request, listing_attributes(self.fields)))
        request = ApiRequest(
            "GET", self._api.url(self.entity), params, headers=headers, on_404=self._unknown_entity_error
        )
        return parse_page(self._api.send_general(request, f"to list {self.entity}"), self.fields)

    def _fetch_holders(self, holder_filter: Filter) -> list[str]:
        search = {
            "where": [holder_filter],
            "select": ["id"],
            "orderBy": "id",
            "order": "asc",
            "maxSize": HOLDERS_PER_QUERY,
        }
        request = ApiRequest(
            "GET", self._api.url(self.entity), search_params(search), on_404=NotFound(SYSTEM, self.entity)
        )
        return parse_ids(self._api.send_for_person(request), HOLDERS_PER_QUERY)


def _flatten(pages: Iterator[Page]) -> list[EspoListing]:
    return [listing for page in pages for listing in page.listings]
