"""The clients by name."""

from collections.abc import Mapping
from functools import partial

from tests.support.clients.client import Connect
from tests.support.clients.python import fastmcp_client, python_client
from tests.support.clients.typescript import typescript_client

CLIENTS: Mapping[str, Connect] = {
    "python": python_client,
    "fastmcp": fastmcp_client,
    "typescript-v1": partial(typescript_client, "v1"),
    "typescript-v2": partial(typescript_client, "v2"),
}
