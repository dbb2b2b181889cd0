"""Where the demo plays: the cluster, the names of everything in it, and the way there from this machine."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from examples.demo.images import REGISTRY
from examples.demo.narrator import Narrator
from tests.support.identity.network import Network
from tests.support.identity.programs import free_port
from tests.support.kube import Kube

NAMESPACE = "postern-demo"
OPERATOR_NAMESPACE = "postern-system"
URL = "http://localhost:8080/mcp"
LOCAL_PORT = 8080
IDP_NAME = "idp.postern-demo.svc"
IDP_PORT = 8443
ISSUER = f"https://{IDP_NAME}:{IDP_PORT}"

FORECAST_URL = "http://localhost:8081/mcp"
FORECAST_ISSUER = "http://localhost:8081"
FORECAST_PORT = 8081
SSO_NAME = "sso.postern-demo.svc"
SSO_PORT = 8444
SSO_ISSUER = f"https://{SSO_NAME}:{SSO_PORT}"
"""An identity provider that registers nobody."""

MANIFESTS = Path(__file__).parent / "manifests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the story plays."""

    kube: Kube
    """Its default namespace is the demo's."""
    folder: Path
    """For the authority's certificate."""
    registry: str = REGISTRY
    """Where the nodes get the images from; ``localhost``: they have them."""
    narrator: Narrator = field(default_factory=Narrator)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    def manifest(self, name: str) -> str:
        """The text of a manifest, with the images of this stage."""
        text = (MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")
        return text.replace(f"image: {REGISTRY}/", f"image: {self.registry}/")


def reachable(stage: Stage) -> AbstractContextManager[Network]:
    """The way to the MCP server and to the identity provider from this machine, by port-forwards, during the block."""
    doors = {f"localhost:{LOCAL_PORT}": ("svc/weather", 80), f"{IDP_NAME}:{IDP_PORT}": ("svc/idp", IDP_PORT)}
    return _forwarded(stage, doors)


def forecast_reachable(stage: Stage) -> AbstractContextManager[Network]:
    """The same for the second act's server and identity provider."""
    doors = {f"localhost:{FORECAST_PORT}": ("svc/forecast", 80), f"{SSO_NAME}:{SSO_PORT}": ("svc/sso", SSO_PORT)}
    return _forwarded(stage, doors)


@contextmanager
def _forwarded(stage: Stage, doors: Mapping[str, tuple[str, int]]) -> Iterator[Network]:
    """Port-forwards; ``doors``: host and port of a URL to the Service, and its port, that stand for it."""
    addresses = {}
    with ExitStack() as stack:
        for name, (target, port) in doors.items():
            local = free_port(preferred=int(name.rpartition(":")[2]))
            stack.enter_context(stage.kube.port_forward(target, port, local=local))
            addresses[name] = ("127.0.0.1", local)
        yield Network(addresses, stage.ca_file)
