"""Endpoints that programs call with a form: this module is what token and revocation endpoint have in common."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from postern_sidecar.facade.client_authentication import authenticate
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.fault_log import log_fault
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest, json_fault, read_form

__all__ = ["answer_program"]

Serve = Callable[[Client, Mapping[str, str], Context, float], Awaitable[FacadeAnswer]]
"""Takes the client, the form, the context, and the time in epoch seconds."""


async def answer_program(request: FacadeRequest, context: Context, serve: Serve) -> FacadeAnswer:
    """Read the form, authenticate the client, serve it; each OAuthFault becomes JSON."""
    if request.method != "POST":
        refused = json_fault(OAuthFault("method_not_allowed", "Only POST is allowed here."))
        return replace(refused, headers=(*refused.headers, (b"allow", b"POST, OPTIONS")))
    client: Client | None = None
    try:
        form = read_form(request)
        client = await authenticate(request, form, context)
        return await serve(client, form, context, request.now)
    except OAuthFault as fault:
        log_fault(request, fault)
        return replace(json_fault(fault), client_id="" if client is None else client.id)
