from pathlib import Path

import pytest

from postern_operator.cluster import connection, load_configuration
from postern_operator.errors import SettingsError


async def test_kubeconfig_gives_server_and_token(environment: dict[str, str]) -> None:
    given = await connection(await load_configuration(environment))
    assert given.server.startswith("http://127.0.0.1:")
    assert (given.scheme, given.token) == ("Bearer", "secret")


async def test_missing_kubeconfig_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="set KUBECONFIG"):
        await load_configuration({"KUBECONFIG": str(tmp_path / "absent")})


async def test_pod_without_service_account_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="service account"):
        await load_configuration({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"})
