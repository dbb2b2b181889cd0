"""The cluster's certificate authorities, certificates and keys, made with the openssl program."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster.plan import Plan
from tests.support.images.cache import scratch
from tests.support.images.processes import run

DAYS = "3650"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
REQUEST_CONFIGURATION = "[req]\ndistinguished_name = name\n[name]\n"
"""Instead of the system's, which would add extensions of its own."""

AUTHORITIES = ("ca", "front-ca")
"""Of the cluster, and of the API server when it forwards requests to extension servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate to make; ``file`` is its name without ``.crt`` and ``.key``."""

    file: str
    subject: str
    usage: str = "clientAuth"
    authority: str = "ca"
    names: tuple[str, ...] = ()


def clients(node: str) -> tuple[Certificate, ...]:
    """The users that get a kubeconfig; the subject says user (CN) and group (O)."""
    return (
        Certificate(file="admin", subject="/O=system:masters/CN=cluster-admin"),
        Certificate(file="controller-manager", subject="/CN=system:kube-controller-manager"),
        Certificate(file="scheduler", subject="/CN=system:kube-scheduler"),
        Certificate(file="proxy", subject="/CN=system:kube-proxy"),
        Certificate(file="coredns", subject="/CN=cluster:coredns"),
        Certificate(file="kubelet", subject=f"/O=system:nodes/CN=system:node:{node}"),
    )


def certificates(plan: Plan) -> tuple[Certificate, ...]:
    """All certificates of the cluster, without the authorities'."""
    service = ["kubernetes", "default", "svc", "cluster", "local"]
    api_names = ["localhost", *[".".join(service[:length]) for length in (1, 2, 3, 5)]]
    families = plan.network.families
    api_addresses = ["127.0.0.1", "::1", *[f.node for f in families], *[f.service(1) for f in families]]
    node_addresses = ["127.0.0.1", *[f.node for f in families]]
    return (
        *clients(plan.name),
        Certificate(
            file="apiserver",
            subject="/CN=kube-apiserver",
            usage="serverAuth",
            names=(*_tagged("DNS", api_names), *_tagged("IP", api_addresses)),
        ),
        Certificate(
            file="kubelet-server",
            subject=f"/O=system:nodes/CN=system:node:{plan.name}",
            usage="serverAuth",
            names=(f"DNS:{plan.name}", *_tagged("IP", node_addresses)),
        ),
        Certificate(file="apiserver-kubelet-client", subject="/O=system:masters/CN=kube-apiserver-kubelet-client"),
        Certificate(file="front-proxy-client", subject="/CN=front-proxy-client", authority="front-ca"),
    )


def make_certificates(plan: Plan) -> None:
    """Fills ``plan.certificates`` unless it is there already."""
    if plan.certificates.exists():
        return
    with scratch() as work:
        folder = work / "pki"
        folder.mkdir(0o700)
        (folder / "request.cnf").write_text(REQUEST_CONFIGURATION)
        for authority in AUTHORITIES:
            _make_authority(folder, authority, f"{plan.name} {authority}")
        for certificate in certificates(plan):
            _make_certificate(folder, certificate)
        _make_service_account_key(folder)
        folder.rename(plan.certificates)


def _tagged(kind: str, values: Iterable[str]) -> list[str]:
    return [f"{kind}:{value}" for value in values]


def _make_authority(folder: Path, name: str, common_name: str) -> None:
    extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")
    _request(folder, name, f"/CN={common_name}", extensions)


def _make_certificate(folder: Path, certificate: Certificate) -> None:
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={certificate.usage}",
    ]
    if certificate.names:
        extensions.append(f"subjectAltName={','.join(certificate.names)}")
    authority = certificate.authority
    signed_by = ("-CA", f"{authority}.crt", "-CAkey", f"{authority}.key")
    _request(folder, certificate.file, certificate.subject, extensions, signed_by)


def _request(folder: Path, name: str, subject: str, extensions: Iterable[str], signed_by: Iterable[str] = ()) -> None:
    options = [word for extension in extensions for word in ("-addext", extension)]
    output = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", DAYS]
    command = ["openssl", "req", "-x509", "-config", "request.cnf", *KEY, "-subj", subject]
    run([*command, *options, *output, *signed_by], purpose=f"making the certificate {name}", cwd=folder)


def _make_service_account_key(folder: Path) -> None:
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    make = ["openssl", "genpkey", *curve, "-out", "service-account.key"]
    run(make, purpose="making the key for service account tokens", cwd=folder)
    publish = ["openssl", "pkey", "-in", "service-account.key", "-pubout", "-out", "service-account.pub"]
    run(publish, purpose="writing the public key for service account tokens", cwd=folder)
