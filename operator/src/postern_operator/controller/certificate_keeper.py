"""The webhook's certificates in the cluster: this module is what writes the Secret and publishes the bundle."""

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from postern_operator.certificates import secret as layout
from postern_operator.certificates.building import host_names
from postern_operator.certificates.plan import Action, plan
from postern_operator.cluster import Cluster
from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict
from postern_operator.metrics import Metrics
from postern_operator.settings import Settings

__all__ = ["CertificateKeeper"]

_LOG = structlog.stdlib.get_logger("postern.certificates")
_PERIOD_S = 60.0
_RETRY_S = 5.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CertificateKeeper:
    """Keeps the Secret and the webhook configuration's caBundle as they should be. Two of them at a time do no harm."""

    def __init__(
        self, cluster: Cluster, settings: Settings, metrics: Metrics, *, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._not_after = metrics.certificate_not_after
        self._now = now

    async def run(self) -> None:
        """Look each minute, until cancelled."""
        while True:
            kept = await self.is_kept()
            await asyncio.sleep(_PERIOD_S if kept else _RETRY_S)

    async def is_kept(self) -> bool:
        """Look once; tell whether all could be done."""
        try:
            await self.keep()
        except Conflict:
            return False
        except (ClusterError, ClusterUnavailable) as error:
            _LOG.warning("certificates could not be looked after; trying again", error=str(error))
            return False
        return True

    async def keep(self) -> None:
        """Do the next step of the plan, if any, and publish the bundle. Raises what the cluster raises."""
        key = (self._settings.namespace, self._settings.certificate_secret)
        present = await self._cluster.get_secret(*key)
        material = layout.read(present)
        hosts = host_names(self._settings.service, self._settings.namespace)
        now = self._now()
        action = plan(None if material is None else layout.state(material, hosts), now)
        following = layout.next_material(action, material, hosts, now)
        if following is not None:
            if action is Action.CREATE:
                following = layout.trusting(following, await self._published(), now)
            await self._cluster.write_secret(layout.write(following, key, present))
            _LOG.info("certificates changed", action=action.value, secret="/".join(key))
            present = await self._cluster.get_secret(*key)
            material = layout.read(present)
        if material is None:
            return
        self._measure(material, hosts)
        if await self._publish(material) and material.published_at is None:
            await self._cluster.write_secret(layout.write(layout.published(material, now), key, present))

    async def _published(self) -> bytes:
        """Give the bundle by which API servers trust the webhook now; empty when there is none."""
        configuration = await self._cluster.get_webhook_configuration(self._settings.webhook_configuration)
        for webhook in (configuration or {}).get("webhooks") or []:
            if bundle := webhook.get("clientConfig", {}).get("caBundle"):
                return base64.b64decode(bundle)
        return b""

    async def _publish(self, material: layout.Material) -> bool:
        """Bring every webhook's caBundle to the bundle; tell whether they were seen to have it already."""
        configuration = await self._cluster.get_webhook_configuration(self._settings.webhook_configuration)
        if configuration is None:
            _LOG.warning(
                "the webhook configuration does not exist; install the chart completely",
                name=self._settings.webhook_configuration,
            )
            return False
        wanted = base64.b64encode(material.bundle).decode()
        behind = [
            webhook["name"]
            for webhook in configuration.get("webhooks") or []
            if webhook.get("clientConfig", {}).get("caBundle") != wanted
        ]
        if behind:
            await self._cluster.patch_ca_bundle(configuration, behind, wanted)
            _LOG.info("CA bundle published", webhooks=behind)
        return not behind

    def _measure(self, material: layout.Material, hosts: tuple[str, ...]) -> None:
        state = layout.state(material, hosts)
        self._not_after.labels("authority").set(state.authority_until.timestamp())
        self._not_after.labels("leaf").set(state.leaf_until.timestamp())
