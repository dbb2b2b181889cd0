"""The components' command lines, and which of them start when."""

from tests.support.cluster.plan import Plan

ETCD_URL = "http://127.0.0.1:2379"
ETCD_PEER_URL = "http://127.0.0.1:2380"

FIRST = ("containerd", "etcd", "kube-apiserver")
WITH_RUNTIME = ("kubelet",)
"""Start when containerd answers and has the image that holds a pod's namespaces."""

WITH_API = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")
"""Start when the API server is ready: earlier they would be refused, and wait ever longer before asking again."""


def commands(plan: Plan) -> dict[str, list[str]]:
    """Component → command line."""
    programs, configuration = plan.programs, plan.configuration
    return {
        "containerd": ["containerd", "--config", f"{configuration}/containerd.toml"],
        "etcd": _etcd(plan),
        "kube-apiserver": _apiserver(plan),
        "kube-controller-manager": _controller_manager(plan),
        "kube-scheduler": [f"{programs}/kube-scheduler", *_kubeconfigs(plan, "scheduler"), *_single("500")],
        "kube-proxy": [f"{programs}/kube-proxy", f"--config={configuration}/proxy.yaml"],
        "kubelet": [
            f"{programs}/kubelet",
            f"--config={configuration}/kubelet.yaml",
            f"--kubeconfig={configuration}/kubelet.kubeconfig",
            f"--hostname-override={plan.name}",
            f"--node-ip={plan.network.nodes}",
        ],
        "coredns": [f"{programs}/coredns", "-conf", f"{configuration}/Corefile"],
    }


def _etcd(plan: Plan) -> list[str]:
    return [
        f"{plan.programs}/etcd",
        f"--name={plan.name}",
        f"--data-dir={plan.state}/etcd",
        "--unsafe-no-fsync",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        f"--listen-peer-urls={ETCD_PEER_URL}",
        f"--initial-advertise-peer-urls={ETCD_PEER_URL}",
        f"--initial-cluster={plan.name}={ETCD_PEER_URL}",
    ]


def _apiserver(plan: Plan) -> list[str]:
    pki = plan.certificates
    return [
        f"{plan.programs}/kube-apiserver",
        f"--etcd-servers={ETCD_URL}",
        "--bind-address=::",
        "--secure-port=6443",
        f"--advertise-address={plan.network.ipv4.node}",
        f"--service-cluster-ip-range={plan.network.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        *_aggregation(plan),
        "--profiling=false",
    ]


def _aggregation(plan: Plan) -> list[str]:
    pki = plan.certificates
    return [
        "--enable-aggregator-routing=true",
        f"--requestheader-client-ca-file={pki}/front-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
    ]


def _controller_manager(plan: Plan) -> list[str]:
    pki = plan.certificates
    return [
        f"{plan.programs}/kube-controller-manager",
        *_kubeconfigs(plan, "controller-manager"),
        *_single("500"),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki}/service-account.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--client-ca-file={pki}/ca.crt",
        f"--requestheader-client-ca-file={pki}/front-ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--allocate-node-cidrs=false",
        f"--service-cluster-ip-range={plan.network.services}",
    ]


def _kubeconfigs(plan: Plan, client: str) -> list[str]:
    path = plan.configuration / f"{client}.kubeconfig"
    return [f"--{use}kubeconfig={path}" for use in ("", "authentication-", "authorization-")]


def _single(requests_per_s: str) -> list[str]:
    """For a component that has no twin to elect; with the default of 20 requests/s a new cluster waits 4 s longer."""
    return [
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
        f"--kube-api-qps={requests_per_s}",
        f"--kube-api-burst={requests_per_s}",
    ]
