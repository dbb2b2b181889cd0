"""What a sidecar in mode Direct has loaded after its first request: each module costs every pod start and memory."""

import importlib.util
import re
import time
from pathlib import Path

import httpx
import pytest

from postern_crds.sidecar_config import encode
from tests.sidecar.process import run_sidecar
from tests.support.fake_issuer import FakeIssuer
from tests.support.policies import RESOURCE_URL, make_config
from tests.support.tokens import SigningPair, claims_for, issue
from tests.support.upstream import answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
EXPECTED = ("httptools", "httpx", "joserfc", "msgspec", "starlette.routing", "uvicorn", "uvloop")
UNWANTED = (
    "anyio._backends",
    "argparse",
    "certifi",
    "h11",
    "http.server",
    "httpcore",
    "jinja2",
    "postern_sidecar.facade",
    "postern_sidecar.proxy",
    "postern_sidecar.sealing",
    "prometheus_client",
    "starlette.applications",
    "structlog",
    "wsgiref",
    "yaml",
)


@pytest.mark.parametrize("name", UNWANTED)
def test_unwanted_module_exists(name: str) -> None:
    assert importlib.util.find_spec(name) is not None, "a name that nothing has would never be found loaded"


async def test_mode_direct_loads_nothing_that_it_does_not_need(
    tmp_path: Path, fake_issuer: FakeIssuer, rsa_pair: SigningPair
) -> None:
    place = {"issuer": fake_issuer.issuer, "metadata_urls": fake_issuer.metadata_urls}
    (tmp_path / "policy.json").write_text(encode(make_config(issuer=place)))
    token = issue(rsa_pair, claims_for(fake_issuer.issuer, RESOURCE_URL, time.time()))
    headers = {"host": "mcp.example.com", "authorization": f"Bearer {token}"}
    async with (
        serve(answering(OK)) as upstream,
        run_sidecar(tmp_path, upstream.port, environment={"PYTHONPROFILEIMPORTTIME": "1"}) as sidecar,
    ):
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{sidecar.port}/mcp", headers=headers)
        assert answer.status_code == 200
        assert (await sidecar.health("/metrics")).status_code == 200
        sidecar.terminate()
        await sidecar.rest()
        assert sidecar.process.stderr is not None
        loaded = re.findall(r"^import time:.*\| +(\S+)$", (await sidecar.process.stderr.read()).decode(), re.MULTILINE)
    assert set(EXPECTED) <= set(loaded)
    assert [name for name in loaded if f"{name}.".startswith(tuple(f"{unwanted}." for unwanted in UNWANTED))] == []
