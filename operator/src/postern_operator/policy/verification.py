"""How tokens of the identity provider are verified, from policy and table: this module is that decision."""

from typing import Literal

from postern_crds.sidecar_config import RemoteVerification, VerificationConfig
from postern_crds.sidecar_files import CLIENT_SECRET_FILE, INTROSPECTION_SECRET_FILE
from postern_crds.spec.tokens import Introspection
from postern_crds.v1alpha1 import PolicySpec, Proxy
from postern_operator.policy.providers import Issuer
from postern_operator.policy.upstream import auth_method

__all__ = ["VerificationKind", "verification_config", "verification_kind"]

VerificationKind = Literal["JWT", "Introspection", "Userinfo", "Tokeninfo", "AppToken"]


def verification_kind(spec: PolicySpec, issuer: Issuer) -> VerificationKind:
    """Give the user's choice, else the provider's own way."""
    own = None if issuer.proxy is None else issuer.proxy.row.remote
    return spec.verification.kind or (own.kind if own else "JWT")


def verification_config(spec: PolicySpec, issuer: Issuer) -> VerificationConfig:
    """Give how an access token of the identity provider is verified."""
    verification, scopes = spec.verification, spec.scopes
    remote = _remote(spec, issuer)
    is_waived = verification.audience == "IssuerOnly"
    client_id = "" if is_waived or remote else _named_client(spec, issuer)
    # userinfo says of no token for whom it is.
    is_open = is_waived or (remote is not None and remote.kind == "Userinfo")
    required = not is_open and bool(verification.audiences or not client_id)
    return VerificationConfig(
        remote=remote,
        audiences=tuple(verification.audiences or issuer.audiences) if required else (),
        audience_required=required,
        client_id=client_id,
        algorithms=tuple(verification.algorithms),
        leeway_s=verification.leeway_seconds,
        required_scopes=tuple(scopes.required),
        supported_scopes=tuple(scopes.required if scopes.supported is None else scopes.supported),
    )


def _named_client(spec: PolicySpec, issuer: Issuer) -> str:
    """Give the client that the provider's JWTs name when they are ours; empty: they do not tell."""
    return spec.proxy.client.id if spec.proxy and issuer.proxy and issuer.proxy.row.names_client else ""


def _remote(spec: PolicySpec, issuer: Issuer) -> RemoteVerification | None:
    kind, cache_s = verification_kind(spec, issuer), spec.verification.cache_seconds
    url = None if issuer.proxy is None else issuer.proxy.remote_url
    client_id = "" if spec.proxy is None else spec.proxy.client.id
    match kind:
        case "JWT":
            return None
        case "Introspection":
            return _introspection(spec, issuer)
        case "Userinfo":
            return RemoteVerification(kind, None, "", "", "none", cache_s)
        case "Tokeninfo":
            return RemoteVerification(kind, url, client_id, "", "none", cache_s)
        case "AppToken":
            return RemoteVerification(kind, url, client_id, CLIENT_SECRET_FILE, "client_secret_basic", cache_s)


def _introspection(spec: PolicySpec, issuer: Issuer) -> RemoteVerification:
    """Give introspection as the client that the policy names for it, else as our client (mode Proxy).

    Raises ValueError when there is neither.
    """
    chosen = spec.verification.introspection or Introspection()
    if chosen.client_id is not None:
        return RemoteVerification(
            kind="Introspection",
            url=None,
            client_id=chosen.client_id,
            secret_file=INTROSPECTION_SECRET_FILE,
            # Every server that has a secret method takes this one (RFC 6749 section 2.3.1).
            auth_method="client_secret_basic",
            cache_s=chosen.cache_seconds,
        )
    if spec.proxy is None or issuer.proxy is None:
        raise ValueError("spec.verification.introspection: must have clientID and secretRef")
    return _as_our_client(spec.proxy, auth_method(spec.proxy, issuer.proxy), chosen.cache_seconds)


def _as_our_client(proxy: Proxy, method: str, cache_s: int) -> RemoteVerification:
    if method == "none":
        raise ValueError("spec.verification.introspection: must have clientID and secretRef")
    return RemoteVerification(
        kind="Introspection",
        url=None,
        client_id=proxy.client.id,
        secret_file=CLIENT_SECRET_FILE,
        auth_method="client_secret_post" if method == "client_secret_post" else "client_secret_basic",
        cache_s=cache_s,
    )
