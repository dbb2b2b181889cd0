"""The content of the components' configuration files; every function here only makes text."""

import base64
import json
import os
from collections.abc import Mapping

from tests.support.cluster.network import Network
from tests.support.cluster.pki import clients
from tests.support.cluster.plan import Plan

SYNC_FREQUENCY_VARIABLE = "POSTERN_SYNC_FREQUENCY"
CNI_PROGRAMS = "/usr/lib/cni"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
"""In the node's own /run."""


def configuration_files(plan: Plan, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """File name (below ``plan.configuration``) → content, without the kubeconfigs, which need the certificates."""
    return {
        "containerd.toml": containerd(plan),
        "cni/10-pods.conflist": cni(plan.network),
        "resolv.conf": f"nameserver {plan.network.ipv4.node}\n",
        "kubelet.yaml": kubelet(plan, environment),
        "proxy.yaml": kube_proxy(plan),
        "Corefile": corefile(plan),
        "base.json": base_objects(plan.network),
    }


def write_configuration(plan: Plan) -> None:
    """Writes every file that the components read, and ``plan.kubeconfig`` for everybody else."""
    files = configuration_files(plan)
    for client in clients(plan.name):
        files[f"{client.file}.kubeconfig"] = kubeconfig(plan, client.file)
    for name, content in files.items():
        path = plan.configuration / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
    plan.kubeconfig.touch(mode=0o600)
    plan.kubeconfig.write_text(files["admin.kubeconfig"])


def containerd(plan: Plan) -> str:
    """For containerd 1.6; see the comments for what a confined root needs."""
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:dev"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  # Without CAP_SYS_RESOURCE nobody may lower oom_score_adj, and runc would fail over it.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "{plan.configuration}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def cni(network: Network) -> str:
    """A bridge that gives every pod one address of each family; nothing is masqueraded, the machine has routes."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": family.pods}] for family in network.families],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": addresses,
    }
    host_ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, host_ports]}, indent=1)


def kubelet(plan: Plan, environment: Mapping[str, str]) -> str:
    """The kubelet's defaults where they can be kept: tests should see what users see."""
    settings: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{plan.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{plan.certificates}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{plan.certificates}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{plan.certificates}/kubelet-server.key",
        "clusterDNS": [plan.network.dns],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{plan.configuration}/resolv.conf",
        # Images are loaded, never pulled: one that is collected would be gone.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "makeIPTablesUtilChains": False,
    }
    if SYNC_FREQUENCY_VARIABLE in environment:
        settings["syncFrequency"] = environment[SYNC_FREQUENCY_VARIABLE]
    return json.dumps(settings, indent=1)


def kube_proxy(plan: Plan) -> str:
    """nftables rules for both families; the machine's connection tracking limits stay as they are."""
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{plan.configuration}/proxy.kubeconfig"},
        "clusterCIDR": plan.network.pods,
        "hostnameOverride": plan.name,
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    return json.dumps(settings, indent=1)


def corefile(plan: Plan) -> str:
    """Two server blocks: the cluster's own names, and a quick "no such name" for all others."""
    return f"""\
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {plan.network.ipv4.node}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {plan.configuration}/coredns.kubeconfig
        pods insecure
        ttl 5
    }}
    cache 5
}}
.:53 {{
    bind {plan.network.ipv4.node}
    errors
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def base_objects(network: Network) -> str:
    """The objects every cluster starts with: CoreDNS is a process of the node, so its Service has no selector."""
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    rbac = "rbac.authorization.k8s.io"
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster:coredns"}
    watch = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": watch},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
    ]
    items = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
            "spec": {"clusterIP": network.dns, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-node",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [network.ipv4.node], "conditions": {"ready": True}}],
            "ports": ports,
        },
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": role["name"]}, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["name"]},
            "roleRef": role,
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "cluster:coredns"}],
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1)


def kubeconfig(plan: Plan, client: str) -> str:
    """A kubeconfig with the certificates inside, so that it can be copied anywhere on this machine."""

    def data(file: str) -> str:
        return base64.b64encode((plan.certificates / file).read_bytes()).decode()

    cluster = {"server": plan.network.api_url, "certificate-authority-data": data("ca.crt")}
    user = {"client-certificate-data": data(f"{client}.crt"), "client-key-data": data(f"{client}.key")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": plan.name,
        "clusters": [{"name": plan.name, "cluster": cluster}],
        "users": [{"name": plan.name, "user": user}],
        "contexts": [{"name": plan.name, "context": {"cluster": plan.name, "user": plan.name}}],
    }
    return json.dumps(content, indent=1)
