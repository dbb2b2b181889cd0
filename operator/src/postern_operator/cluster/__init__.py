"""The only door to the API server: connection, calls, errors turned into ours."""

from postern_operator.cluster.connection import Connection, connection, load_configuration
from postern_operator.cluster.objects import Cluster, cluster

__all__ = ["Cluster", "Connection", "cluster", "connection", "load_configuration"]
