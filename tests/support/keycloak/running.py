"""A running Keycloak; it takes 15 to 30 seconds, so one may wait for it later than start it."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.identity.programs import Program, answers, free_port, running
from tests.support.keycloak.distribution import distribution
from tests.support.keycloak.realm import RealmOptions, realm

START_TIMEOUT_S = 180.0
ADMINISTRATOR = "administrator"
JAVA_OPTIONS = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    # Started often and used little: the second compiler never pays.
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "-Duser.language=en",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
)
"""As its launcher gives them; without the launcher, whose Java would be a grandchild of ours."""


@dataclass(frozen=True, slots=True)
class Keycloak:
    """One that was started."""

    url: str
    program: Program

    def issuer(self, realm_name: str) -> str:
        """The issuer of a realm."""
        return f"{self.url}/realms/{realm_name}"

    def wait_until_ready(self) -> None:
        """Returns as soon as realms are served; Keycloak listens when all are imported."""
        address = f"{self.issuer('master')}/.well-known/openid-configuration"
        self.program.wait_until(lambda: answers(address), timeout_s=START_TIMEOUT_S)

    def revoke_logins(self, realm_name: str, client_id: str) -> None:
        """Ends what the users of a realm allowed a client, as an administrator would: sessions, also offline ones."""
        with httpx2.Client(base_url=self.url, trust_env=False, timeout=30) as http:
            http.headers["authorization"] = f"Bearer {self._administrator_token(http)}"
            users = f"/admin/realms/{realm_name}/users"
            for user in http.get(users).raise_for_status().json():
                http.post(f"{users}/{user['id']}/logout").raise_for_status()
                answer = http.delete(f"{users}/{user['id']}/consents/{client_id}")
                # Who never logged in there has nothing to revoke.
                if answer.status_code != 404:
                    answer.raise_for_status()

    def _administrator_token(self, http: httpx2.Client) -> str:
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": ADMINISTRATOR,
            "password": ADMINISTRATOR,
        }
        answer = http.post("/realms/master/protocol/openid-connect/token", data=form).raise_for_status()
        return str(answer.json()["access_token"])


@contextmanager
def starting_keycloak(realms: Sequence[RealmOptions], folder: Path) -> Iterator[Keycloak]:
    """Keycloak with the realms, until the end of the block; not ready yet. Its data and log lie in ``folder``."""
    home = _home(folder, realms)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        "java",
        *JAVA_OPTIONS,
        f"-Dkc.home.dir={home}",
        f"-Djboss.server.config.dir={home / 'conf'}",
        "-cp",
        home / "lib" / "quarkus-run.jar",
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        *("start", "--optimized", "--import-realm", "--http-enabled=true", "--http-host=127.0.0.1"),
        *(f"--http-port={port}", f"--hostname={url}", "--hostname-strict=false", "--cache=local"),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMINISTRATOR,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMINISTRATOR,
    }
    with running("Keycloak", command, log=folder / "keycloak.log", environment=environment) as program:
        yield Keycloak(url, program)


def _home(folder: Path, realms: Sequence[RealmOptions]) -> Path:
    """A home of its own, for it writes there; what it only reads is linked."""
    source, home = distribution(), folder / "keycloak"
    home.mkdir()
    shutil.copytree(source / "conf", home / "conf")
    for part in ("bin", "lib", "providers", "themes"):
        (home / part).symlink_to(source / part)
    imports = home / "data" / "import"
    imports.mkdir(parents=True)
    for options in realms:
        (imports / f"{options.name}-realm.json").write_text(json.dumps(realm(options)), encoding="utf-8")
    return home
