import json

from postern_sidecar.discovery.resource_metadata import resource_metadata
from tests.support.policies import make_config


def test_full_document_has_every_member_byte_for_byte() -> None:
    """SPEC 13, 16, 17, 26; RFC 9728 section 2."""
    config = make_config(
        resource={"name": "Wetter Süd", "documentation": "https://docs.example.com/x"},
        verification={"required_scopes": ("a",), "supported_scopes": ("a", "b")},
    )
    assert json.loads(resource_metadata(config, "https://sso.example.com/")) == {
        "resource": "https://mcp.example.com/mcp",
        "authorization_servers": ["https://sso.example.com/"],
        "scopes_supported": ["a", "b"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Wetter Süd",
        "resource_documentation": "https://docs.example.com/x",
    }


def test_members_without_a_value_are_left_out() -> None:
    """RFC 9728 section 3.2."""
    document = json.loads(resource_metadata(make_config(), "https://sso.example.com"))
    assert set(document) == {"resource", "authorization_servers", "bearer_methods_supported"}
