"""Rules of the identity provider, and of what each of them can do in which mode."""

from typing import Any

from postern_crds.rules.rule import Rule, matching, one_of, url_rules

__all__ = ["PROVIDER_RULES"]

_MEMBERS = ("workos", "auth0", "google", "github", "okta", "entra", "keycloak", "supabase", "betterAuth", "custom")
_ENDPOINTS = (
    "authorizationEndpoint",
    "tokenEndpoint",
    "userinfoEndpoint",
    "introspectionEndpoint",
    "revocationEndpoint",
)


def _names(spec: dict[str, Any], *members: str) -> bool:
    return any(spec["provider"].get(member) is not None for member in members)


def _says_how(verification: dict[str, Any]) -> bool:
    """Tell whether the user chose how tokens are verified or bound."""
    return bool({"kind", "audiences"} & verification.keys()) or verification["audience"] != "Required"


def _entra_names_an_audience(spec: dict[str, Any]) -> bool:
    entra, verification = spec["provider"].get("entra"), spec["verification"]
    return (
        entra is None
        or spec["mode"] == "Proxy"
        or "applicationIDURI" in entra
        or "audiences" in verification
        or verification["audience"] == "IssuerOnly"
    )


def _custom(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["provider"].get("custom") or {}


PROVIDER_RULES: tuple[Rule, ...] = (
    one_of("spec.provider", _MEMBERS, f"must have exactly one of {', '.join(_MEMBERS[:-1])} and {_MEMBERS[-1]}"),
    *url_rules("spec.provider.github.enterpriseURL", slash=False),
    matching(
        "spec.provider.entra.tenantID",
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "must be the GUID of one tenant in lower case, never common, organizations, consumers or a domain: issuers are named "
        "by it; the overview of the tenant shows it as Tenant ID",
    ),
    *url_rules("spec.provider.keycloak.url", slash=False),
    one_of("spec.provider.supabase", ("url", "projectID"), "must have exactly one of url and projectID"),
    *url_rules("spec.provider.supabase.url", slash=False),
    *url_rules("spec.provider.betterAuth.url", slash=False),
    *url_rules("spec.provider.custom.issuer", slash=True),
    *url_rules("spec.provider.custom.jwksURI", slash=True),
    *(rule for endpoint in _ENDPOINTS for rule in url_rules(f"spec.provider.custom.{endpoint}", slash=True)),
    Rule(
        "spec",
        "self.mode == 'Proxy' || !(has(self.provider.google) || has(self.provider.github))",
        "provider google and github let no client register and bind no token to a resource: set mode: Proxy",
        lambda v: v["mode"] == "Proxy" or not _names(v, "google", "github"),
    ),
    Rule(
        "spec",
        "self.mode == 'Direct' || !has(self.provider.supabase)",
        "provider supabase registers clients itself and knows no confidential ones: set mode: Direct",
        lambda v: v["mode"] == "Direct" or not _names(v, "supabase"),
    ),
    Rule(
        "spec",
        "!(has(self.provider.google) || has(self.provider.github)) || (!has(self.verification.kind) && "
        "!has(self.verification.audiences) && self.verification.audience == 'Required')",
        "tokens of google and github are verified as those of proxy.client: remove verification.kind, audience and audiences",
        lambda v: not _names(v, "google", "github") or not _says_how(v["verification"]),
    ),
    Rule(
        "spec",
        "!has(self.provider.entra) || self.mode == 'Proxy' || has(self.provider.entra.applicationIDURI) || "
        "has(self.verification.audiences) || self.verification.audience == 'IssuerOnly'",
        "provider entra in mode: Direct needs verification.audiences: the client id of the API that tokens are for",
        _entra_names_an_audience,
    ),
    Rule(
        "spec",
        "self.mode == 'Proxy' || !has(self.provider.custom) || !(has(self.provider.custom.authorizationEndpoint) || "
        "has(self.provider.custom.tokenEndpoint) || has(self.provider.custom.revocationEndpoint))",
        "provider.custom: authorizationEndpoint, tokenEndpoint and revocationEndpoint have no effect with mode: Direct, where "
        "clients read the issuer's metadata: remove them",
        lambda v: (
            v["mode"] == "Proxy"
            or not {"authorizationEndpoint", "tokenEndpoint", "revocationEndpoint"} & _custom(v).keys()
        ),
    ),
    Rule(
        "spec",
        "!has(self.provider.custom) || !has(self.provider.custom.introspectionEndpoint) || "
        "(has(self.verification.kind) && self.verification.kind == 'Introspection')",
        "provider.custom.introspectionEndpoint has no effect without verification.kind: Introspection: set it, or remove the endpoint",
        lambda v: "introspectionEndpoint" not in _custom(v) or v["verification"].get("kind") == "Introspection",
    ),
    Rule(
        "spec",
        "self.mode == 'Proxy' || !has(self.provider.custom) || !has(self.provider.custom.userinfoEndpoint) || "
        "(has(self.verification.kind) && self.verification.kind == 'Userinfo')",
        "provider.custom.userinfoEndpoint has no effect in mode: Direct without verification.kind: Userinfo: remove it",
        lambda v: (
            v["mode"] == "Proxy" or "userinfoEndpoint" not in _custom(v) or v["verification"].get("kind") == "Userinfo"
        ),
    ),
)
