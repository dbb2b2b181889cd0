from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from postern_crds.sidecar_config import IssuerConfig
from postern_sidecar.errors import IdpUnreachable, MalformedDocument
from postern_sidecar.idp.client import IdpClient
from postern_sidecar.idp.metadata import load_metadata
from tests.support.fake_issuer import METADATA_PATH, OPENID_PATH, Behaviour, FakeIssuer
from tests.support.policies import make_config


@pytest.fixture
async def client() -> AsyncIterator[IdpClient]:
    made = IdpClient(None, ca_required=False, total_s=0.3)
    yield made
    await made.aclose()


def config_of(fake: FakeIssuer, **changes: Any) -> IssuerConfig:
    known = {"issuer": fake.issuer, "metadata_urls": fake.metadata_urls}
    return msgspec.structs.replace(make_config().issuer, **(known | changes))


async def test_metadata_is_kept_byte_for_byte_with_its_abilities(client: IdpClient, fake_issuer: FakeIssuer) -> None:
    fake_issuer.metadata = {
        "registration_endpoint": "https://x/register",
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "code_challenge_methods_supported": ["plain", "S256"],
    }
    metadata = (await load_metadata(client, config_of(fake_issuer))).value
    assert metadata.raw == fake_issuer.document(METADATA_PATH)
    assert metadata.jwks_uri == fake_issuer.jwks_uri
    assert (metadata.registration, metadata.metadata_documents, metadata.iss_parameter, metadata.pkce) == (True,) * 4


async def test_abilities_of_wrong_type_do_not_count(client: IdpClient, fake_issuer: FakeIssuer) -> None:
    fake_issuer.metadata = {
        "jwks_uri": 5,
        "registration_endpoint": None,
        "client_id_metadata_document_supported": "yes",
        "authorization_response_iss_parameter_supported": 1,
        "code_challenge_methods_supported": "S256",
    }
    metadata = (await load_metadata(client, config_of(fake_issuer))).value
    assert metadata.jwks_uri is None
    assert not any((metadata.registration, metadata.metadata_documents, metadata.iss_parameter, metadata.pkce))


@pytest.mark.parametrize(
    "behaviour", [Behaviour.NOT_FOUND, Behaviour.HTML, Behaviour.NOT_JSON, Behaviour.REDIRECT_AWAY]
)
async def test_next_location_is_tried_after_a_useless_answer(
    client: IdpClient, fake_issuer: FakeIssuer, behaviour: Behaviour
) -> None:
    fake_issuer.behaviours[METADATA_PATH] = behaviour
    await load_metadata(client, config_of(fake_issuer))
    assert fake_issuer.requests == [METADATA_PATH, OPENID_PATH]


@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.HANG])
async def test_outage_of_a_location_is_an_outage(
    client: IdpClient, fake_issuer: FakeIssuer, behaviour: Behaviour
) -> None:
    fake_issuer.behaviours[METADATA_PATH] = behaviour
    with pytest.raises(IdpUnreachable):
        await load_metadata(client, config_of(fake_issuer))
    assert fake_issuer.requests == [METADATA_PATH]


async def test_html_everywhere_is_named(client: IdpClient, fake_issuer: FakeIssuer) -> None:
    fake_issuer.behaviours = {METADATA_PATH: Behaviour.HTML, OPENID_PATH: Behaviour.HTML}
    with pytest.raises(MalformedDocument, match="answered HTML instead of JSON at http://"):
        await load_metadata(client, config_of(fake_issuer))


@pytest.mark.parametrize("slash", ["configured", "stated"])
async def test_one_trailing_slash_is_forgiven_and_the_documents_spelling_kept(
    client: IdpClient, fake_issuer: FakeIssuer, slash: str
) -> None:
    stated = fake_issuer.issuer + ("/" if slash == "stated" else "")
    configured = fake_issuer.issuer + ("/" if slash == "configured" else "")
    fake_issuer.metadata = {"issuer": stated}
    metadata = (await load_metadata(client, config_of(fake_issuer, issuer=configured))).value
    assert metadata.issuer == stated


@pytest.mark.parametrize("stated", ["https://evil.example", "//", None, 5])
async def test_document_of_another_issuer_is_refused_and_both_are_named(
    client: IdpClient, fake_issuer: FakeIssuer, stated: Any
) -> None:
    """SPEC 17, RFC 8414 section 3.3."""
    fake_issuer.metadata = {"issuer": fake_issuer.issuer + stated if stated == "//" else stated}
    with pytest.raises(MalformedDocument, match="is of issuer") as caught:
        await load_metadata(client, config_of(fake_issuer))
    assert repr(fake_issuer.issuer) in str(caught.value)
    assert repr(fake_issuer.metadata["issuer"]) in str(caught.value)
