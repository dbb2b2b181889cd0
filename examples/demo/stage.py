"""Where the demo plays: the cluster, the names of everything in it, and the way there from this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def reachable(stage: Stage) -> Iterator[Network]:
    """The way to the MCP server and to the identity provider from this machine, by port-forwards, during the block."""
    weather, idp = free_port(preferred=LOCAL_PORT), free_port(preferred=IDP_PORT)
    with (
        stage.kube.port_forward("svc/weather", 80, local=weather),
        stage.kube.port_forward("svc/idp", IDP_PORT, local=idp),
    ):
        addresses = {f"localhost:{LOCAL_PORT}": ("127.0.0.1", weather), f"{IDP_NAME}:{IDP_PORT}": ("127.0.0.1", idp)}
        yield Network(addresses, stage.ca_file)
