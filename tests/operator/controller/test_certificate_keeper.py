import base64
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postern_operator.certificates.secret import read
from postern_operator.cluster import Cluster
from postern_operator.controller.certificate_keeper import CertificateKeeper
from postern_operator.errors import Conflict
from postern_operator.metrics import metrics
from tests.operator.controller.objects import SETTINGS
from tests.support.fake_apiserver import FakeApiServer

SECRET = "/api/v1/namespaces/postern-system/secrets/postern-webhook-certificate"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/postern"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 6, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(api: Cluster, server: FakeApiServer, clock: Clock) -> CertificateKeeper:
    names = ("pods.postern.dev", "workloads.postern.dev")
    server.put(WEBHOOKS, {"webhooks": [{"name": name, "clientConfig": {}} for name in names]})
    return CertificateKeeper(api, SETTINGS, metrics(), now=clock)


def bundles(server: FakeApiServer) -> list[bytes]:
    found = server.get(WEBHOOKS)
    assert found is not None
    return [base64.b64decode(webhook["clientConfig"].get("caBundle", "")) for webhook in found["webhooks"]]


def secret(server: FakeApiServer) -> dict[str, Any]:
    found = server.get(SECRET)
    assert found is not None
    return found


async def test_secret_is_created_and_its_bundle_published(server: FakeApiServer, keeper: CertificateKeeper) -> None:
    await keeper.keep()
    material = read(secret(server))
    assert material is not None
    assert bundles(server) == [material.bundle] * 2


async def test_second_look_notes_the_publication_and_a_third_writes_nothing(
    server: FakeApiServer, keeper: CertificateKeeper
) -> None:
    await keeper.keep()
    assert "postern.dev/bundle-published" not in secret(server)["metadata"]["annotations"]
    await keeper.keep()
    assert "postern.dev/bundle-published" in secret(server)["metadata"]["annotations"]
    server.requests.clear()
    await keeper.keep()
    assert server.writes() == []


async def test_lost_bundle_is_put_back(server: FakeApiServer, keeper: CertificateKeeper) -> None:
    await keeper.keep()
    before = bundles(server)
    server.put(WEBHOOKS, {"webhooks": [{"name": "pods.postern.dev", "clientConfig": {"caBundle": "QQ=="}}]})
    await keeper.keep()
    assert bundles(server) == before[:1]


async def test_lost_secret_is_made_anew_while_pods_with_the_old_leaf_are_still_trusted(
    server: FakeApiServer, keeper: CertificateKeeper, clock: Clock
) -> None:
    await keeper.keep()
    first = read(secret(server))
    assert first is not None
    server.delete(SECRET)
    await keeper.keep()
    second = read(secret(server))
    assert second is not None
    assert bundles(server) == [second.authority.certificate + first.authority.certificate] * 2
    clock.now += timedelta(hours=2)
    await keeper.keep()
    assert bundles(server) == [second.authority.certificate] * 2


async def test_bundle_that_is_no_certificate_is_replaced(server: FakeApiServer, keeper: CertificateKeeper) -> None:
    server.put(WEBHOOKS, {"webhooks": [{"name": "pods.postern.dev", "clientConfig": {"caBundle": "QQ=="}}]})
    await keeper.keep()
    material = read(secret(server))
    assert material is not None
    assert bundles(server) == [material.authority.certificate]


async def test_authority_is_replaced_with_overlap(
    server: FakeApiServer, keeper: CertificateKeeper, clock: Clock
) -> None:
    await keeper.keep()
    await keeper.keep()
    first = read(secret(server))
    assert first is not None
    clock.now += timedelta(days=1300)
    seen: list[int] = []
    for _ in range(30):
        await keeper.keep()
        seen.append(bundles(server)[0].count(b"BEGIN"))
        clock.now += timedelta(minutes=5)
    # The leaf expired in this long jump and is renewed first; then: both authorities, and at last the new one alone.
    assert [count for count, _ in itertools.groupby(seen)] == [1, 2, 1]
    assert first.authority.certificate not in bundles(server)[0]


async def test_new_leaf_waits_for_the_published_bundle(
    server: FakeApiServer, keeper: CertificateKeeper, clock: Clock
) -> None:
    await keeper.keep()
    await keeper.keep()
    clock.now += timedelta(days=1300)
    await keeper.keep()  # renews the leaf
    server.fail("PATCH", "mutatingwebhookconfigurations", 503, times=10**6)
    assert not await keeper.is_kept()  # adds the authority, cannot publish it
    leaf = secret(server)["data"]["tls.crt"]
    for _ in range(12):
        clock.now += timedelta(minutes=5)
        assert not await keeper.is_kept()
    assert secret(server)["data"]["tls.crt"] == leaf


async def test_another_controllers_secret_wins(server: FakeApiServer, keeper: CertificateKeeper) -> None:
    server.fail("POST", "secrets", 409)
    with pytest.raises(Conflict):
        await keeper.keep()
    assert server.get(SECRET) is None
    assert await keeper.is_kept()


async def test_missing_webhook_configuration_does_not_keep_the_secret_from_being_made(
    server: FakeApiServer, keeper: CertificateKeeper
) -> None:
    server.delete(WEBHOOKS)
    await keeper.keep()
    assert read(secret(server)) is not None
