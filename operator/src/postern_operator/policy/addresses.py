"""Where a policy in mode Proxy is found: this module gives our own issuer and callback, from the policy alone.

Never from a request: Host and X-Forwarded-* are the client's to choose.
"""

from urllib.parse import urlsplit

from postern_crds.v1alpha1 import PolicySpec, Proxy, Resource

__all__ = ["callback_path", "callback_url", "own_issuer"]


def own_issuer(resource: Resource) -> str:
    """Give our name as an authorization server: origin and prefix, no slash at the end (RFC 8414 section 2)."""
    parts = urlsplit(resource.url)
    return f"{parts.scheme}://{parts.netloc}{resource.prefix}"


def callback_path(resource: Resource, proxy: Proxy) -> str:
    """Give the public path of our redirect URI, prefix included."""
    return f"{resource.prefix}{proxy.callback_path}"


def callback_url(spec: PolicySpec) -> str | None:
    """Give our redirect URI, as it must be entered at the identity provider; None in mode Direct."""
    return None if spec.proxy is None else f"{own_issuer(spec.resource)}{spec.proxy.callback_path}"
