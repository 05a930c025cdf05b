"""Both clients as ``config.yaml`` describes them: the one place that joins configuration and clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from etl.clients.advoware import AdvowareClient
from etl.clients.espocrm import EspoClient

if TYPE_CHECKING:
    from etl.clients.request import ClientOptions
    from jobs.config import Config



def make_espo_client(config: Config, **options: Unpack[ClientOptions]) -> EspoClient:
    """A client for the configured EspoCRM; nothing is sent yet."""
    section = config.espocrm
    return EspoClient(
        url=section.url,
        api_key=section.api_key,
        entity=section.entity,
        fields=section.fields.model_dump(),
        page_size=section.page_size,
        timeout_seconds=section.timeout_seconds,
        outage_after=config.sync.outage_after,
        **options,
    )


def make_advoware_client(config: Config, **options: Unpack[ClientOptions]) -> AdvowareClient:
    """A client for the configured Advoware; nothing is sent yet."""
    section = config.advoware
    return AdvowareClient(
        kanzlei=section.kanzlei,
        database=section.database,
        user=section.user,
        app_id=section.app_id,
        api_key=section.api_key,
        password=section.password,
        base_url=section.base_url,
        security_gateway=section.security_gateway,
        configurator_url=section.configurator_url,
        path_prefix=section.path_prefix,
        role=section.role,
        product=section.product,
        allowed_hosts=section.allowed_hosts,
        timeout_seconds=section.timeout_seconds,
        max_requests_per_second=section.max_requests_per_second,
        outage_after=config.sync.outage_after,
        **options,
    )
