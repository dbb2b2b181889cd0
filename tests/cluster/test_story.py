"""The demo's story, with assertions on what each step saw."""

from examples.demo import second_act, story
from examples.demo.stage import FORECAST_ISSUER, FORECAST_URL, ISSUER, Stage


def test_one_annotation_protects_an_unchanged_server(scene: Stage) -> None:
    before = story.served_without_token(scene)
    assert before.tools == ("whoami", "get_weather", "add")
    assert before.identity == {}

    waiting = story.apply_policy(scene)
    assert waiting["targets"] == {"desired": 0, "injected": 0, "current": 0, "unprotected": 0, "unknown": 0}

    protected = story.protect(scene)
    assert protected["readyTargets"] == "1/1"
    assert protected["workloads"][0]["name"] == "weather"
    assert protected["issuer"]["issuer"] == ISSUER

    refusal = story.refused_outside(scene)
    assert refusal.parameter("scope") == "weather:read"

    alice = story.served_after_login(scene)
    assert alice.identity["x-mcp-user-id"] == "alice"
    assert alice.identity["x-mcp-user-name"] == "Alice %C5%81ukasz"
    assert alice.identity["x-mcp-roles"] == "admin"
    assert alice.identity["x-mcp-scopes"] == "weather:read"
    methods = [(seen.method, seen.status) for seen in alice.exchanges[:5]]
    assert methods == [("POST", 401), ("GET", 200), ("GET", 200), ("POST", 201), ("POST", 200)], (
        "refused, resource metadata, server metadata, registration, token: nothing was tried in vain"
    )

    bob = story.served_after_login(scene, username="bob")
    assert bob.identity["x-mcp-user-id"] == "bob"
    assert "x-mcp-roles" not in bob.identity

    assert {refusal.status for refusal in story.refused_inside(scene).values()} == {401}


def test_mode_proxy_lets_clients_in_where_the_identity_provider_registers_none(scene: Stage) -> None:
    second_act.set_the_scene(scene)
    assert second_act.registration_refused(scene) == 404

    protected = second_act.protect(scene)
    assert protected["workloads"][0]["name"] == "forecast"

    refusal = second_act.refused_outside(scene)
    assert refusal.parameter("scope") == "weather:read"

    alice = second_act.served_after_login(scene)
    assert alice.identity["x-mcp-user-id"] == "alice"
    assert alice.identity["x-mcp-roles"] == "admin"
    methods = [(seen.method, seen.url, seen.status) for seen in alice.exchanges[:5]]
    assert methods == [
        ("POST", FORECAST_URL, 401),
        ("GET", f"{FORECAST_ISSUER}/.well-known/oauth-protected-resource/mcp", 200),
        ("GET", f"{FORECAST_ISSUER}/.well-known/oauth-authorization-server", 200),
        ("POST", f"{FORECAST_ISSUER}/register", 201),
        ("POST", f"{FORECAST_ISSUER}/token", 200),
    ], "refused, resource metadata, server metadata, registration, token: nothing was tried in vain"

    assert second_act.served_after_restart(scene) == 200
