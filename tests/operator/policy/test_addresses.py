"""Our own issuer and callback come from the policy alone."""

from typing import Any

import msgspec
import pytest

from postern_crds.v1alpha1 import PolicySpec
from postern_operator.policy.addresses import callback_path, callback_url, own_issuer

_CLIENT = {"id": "postern", "secretRef": {"name": "client"}}


def _spec(resource: dict[str, Any], **proxy: Any) -> PolicySpec:
    spec = {
        "resource": resource,
        "mode": "Proxy",
        "provider": {"google": {}},
        "proxy": {"client": _CLIENT, **proxy},
    }
    return msgspec.convert(spec, PolicySpec)


@pytest.mark.parametrize(
    ("resource", "issuer", "callback"),
    [
        pytest.param(
            {"url": "https://mcp.example.com/mcp"},
            "https://mcp.example.com",
            "https://mcp.example.com/oauth/callback",
            id="whole host",
        ),
        pytest.param({"url": "https://h.example/"}, "https://h.example", "https://h.example/oauth/callback", id="root"),
        pytest.param(
            {"url": "https://h.example:8443/a/b/mcp", "prefix": "/a/b"},
            "https://h.example:8443/a/b",
            "https://h.example:8443/a/b/oauth/callback",
            id="prefix and port",
        ),
        pytest.param(
            {"url": "http://[::1]:8000/mcp"}, "http://[::1]:8000", "http://[::1]:8000/oauth/callback", id="loopback"
        ),
    ],
)
def test_issuer_is_origin_and_prefix_and_the_callback_is_below(
    resource: dict[str, Any], issuer: str, callback: str
) -> None:
    spec = _spec(resource)

    assert spec.proxy is not None
    assert (own_issuer(spec.resource), callback_url(spec)) == (issuer, callback)
    assert callback.endswith(callback_path(spec.resource, spec.proxy))


def test_callback_path_of_the_policy_is_used() -> None:
    spec = _spec({"url": "https://h.example/a/mcp", "prefix": "/a"}, callbackPath="/login/back")

    assert callback_url(spec) == "https://h.example/a/login/back"


def test_mode_direct_has_no_callback() -> None:
    spec = {"resource": {"url": "https://h.example/mcp"}, "mode": "Direct", "provider": {"workos": {"domain": "a.b"}}}

    assert callback_url(msgspec.convert(spec, PolicySpec)) is None
