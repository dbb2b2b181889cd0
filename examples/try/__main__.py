"""Postern on one machine, loopback only: ``python -m examples.try``; with ``KEEP=1`` it runs on until Ctrl-C.

Starts an ordinary MCP server, an identity provider and the sidecar, and shows who gets in and who does not.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.demo.endpoint import call_after_login, call_openly, refused_with_token, refused_without_token, token_for
from examples.demo.narrator import Narrator, StepFailed, expect
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.programs import Program, ProgramFailed, answers, free_port, running
from tests.support.identity.provider import ProviderOptions, running_provider
from tests.support.images.errors import SetupError
from tests.support.mcp.launch import SERVER, running_server

POLICY = Path("examples/try/policy.yaml")
PUBLIC_PORT, ISSUER_PORT, SERVER_PORT, HEALTH_PORT = 8080, 9000, 8000, 8081
OTHER_RESOURCE = "http://localhost:8082/mcp"
"""Another MCP server of the same identity provider, as far as tokens are concerned."""
PROGRAMS = Path(sys.executable).parent
"""Where this environment has its commands."""
RENDER_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is; the usual ports unless another program has them."""

    folder: Path
    """For configuration and logs; gone at the end."""
    public: int
    issuer: int
    server: int
    health: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.public}/mcp"

    @property
    def issuer_url(self) -> str:
        return f"http://127.0.0.1:{self.issuer}"


def need_programs() -> None:
    """Refuses with ``SetupError`` when what the identity provider runs on is missing."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        raise SetupError(f"missing in PATH: {', '.join(missing)}; install Node.js 20 or newer")


def choose_places(folder: Path) -> Places:
    """The usual ports, or free ones where they are taken."""
    return Places(folder, *[free_port(preferred=port) for port in (PUBLIC_PORT, ISSUER_PORT, SERVER_PORT, HEALTH_PORT)])


def policy_file(places: Places, narrator: Narrator) -> Path:
    """The policy that fits the places: the one beside this file, or a copy with other ports."""
    if (places.public, places.issuer) == (PUBLIC_PORT, ISSUER_PORT):
        return POLICY
    narrator.does(f"Port {PUBLIC_PORT} or {ISSUER_PORT} is taken here, so this is a copy of {POLICY} with other ports.")
    text = POLICY.read_text(encoding="utf-8")
    text = text.replace(f":{PUBLIC_PORT}/", f":{places.public}/").replace(f":{ISSUER_PORT}", f":{places.issuer}")
    copy = places.folder / POLICY.name
    copy.write_text(text, encoding="utf-8")
    return copy


def start_server(stack: ExitStack, places: Places, narrator: Narrator) -> None:
    """Step: the unchanged server answers everybody."""
    narrator.step("An ordinary MCP server that knows nothing of OAuth")
    narrator.command(f"python {SERVER.relative_to(Path.cwd())} --host 127.0.0.1 --port {places.server}")
    server = stack.enter_context(running_server(places.folder, port=places.server))
    seen = call_openly(server.url)
    narrator.shows(f"tools: {', '.join(seen.tools)}; add(2, 3) = {seen.total}")
    narrator.seen("anybody may use it, and it does not know who they are")


def start_provider(stack: ExitStack, places: Places, narrator: Narrator) -> None:
    """Step: the identity provider."""
    narrator.step("An identity provider with two users, alice (password alice-pw) and bob (bob-pw)")
    options = ProviderOptions(resources=(places.url, OTHER_RESOURCE), port=places.issuer)
    provider = stack.enter_context(running_provider(options))
    narrator.command(f"curl {provider.issuer}/.well-known/openid-configuration")
    narrator.seen(
        "it registers clients by itself, shows a login and a consent page, and signs tokens for one resource each"
    )


def render(places: Places, narrator: Narrator) -> Path:
    """Step: policy to configuration; gives back the folder that the sidecar reads."""
    narrator.step("A policy says who may use the server; Postern makes the sidecar's configuration of it")
    policy = policy_file(places, narrator)
    narrator.shows(line for line in policy.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    configuration = places.folder / "configuration"
    narrator.command(f"postern-operator render {policy} --output {configuration}")
    command: list[str | Path] = [PROGRAMS / "postern-operator", "render", policy, "--output", configuration]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False)
    expect(done.returncode == 0, "render to accept the policy", done.stderr.strip())
    narrator.seen(f"wrote {', '.join(sorted(path.name for path in configuration.iterdir()))}")
    return configuration


def start_sidecar(stack: ExitStack, places: Places, configuration: Path, narrator: Narrator) -> Program:
    """Step: the sidecar in front of the server."""
    narrator.step("The sidecar, in front of the server")
    options = {
        "--config": str(configuration),
        "--listen": f"127.0.0.1:{places.public}",
        "--health": f"127.0.0.1:{places.health}",
        "--upstream": f"127.0.0.1:{places.server}",
    }
    words = [word for option in options.items() for word in option]
    narrator.command("postern-sidecar " + " ".join(words))
    log = places.folder / "sidecar.log"
    sidecar = stack.enter_context(running("sidecar", [PROGRAMS / "postern-sidecar", *words], log=log))
    sidecar.wait_until(lambda: answers(f"http://127.0.0.1:{places.health}/readyz"))
    narrator.seen("it is ready: configuration read, signing keys fetched")
    return sidecar


def show_who_gets_in(places: Places, narrator: Narrator) -> None:
    """Steps: no token, a login, a token for another server."""
    narrator.step("Without a token")
    narrator.command(f"curl -i -X POST {places.url}")
    refusal = refused_without_token(places.url, issuer=places.issuer_url)
    narrator.shows(refusal.lines())
    narrator.seen(f"refused; the metadata that it points to names {places.issuer_url}")

    narrator.step(
        f"An MCP client (the official Python SDK) with nothing but the URL {places.url}; alice is at the browser"
    )
    known = call_after_login(places.url, ScriptedBrowser(), on_exchange=lambda seen: narrator.shows(seen.line()))
    narrator.does("It found the login by itself. The tool whoami tells what the server, still unchanged, was told:")
    narrator.shows(known.told())
    narrator.seen(f"{known.weather} And the client's own header 'X-Mcp-User-Id: mallory' went nowhere")

    narrator.step("A real token of the same issuer and user, but for another server")
    foreign = token_for(places.issuer_url, OTHER_RESOURCE, ScriptedBrowser())
    narrator.command(f"curl -i -X POST {places.url} -H 'Authorization: Bearer …'")
    narrator.shows(refused_with_token(places.url, foreign).lines())
    narrator.seen("refused")


def keep_running(places: Places, narrator: Narrator) -> None:
    """Waits for Ctrl-C."""
    narrator.step("It is yours now")
    narrator.does(
        f"Give {places.url} to any MCP client on this machine and log in as alice (alice-pw) or bob (bob-pw)."
    )
    narrator.command(f"claude mcp add --transport http weather {places.url}\nnpx @modelcontextprotocol/inspector")
    narrator.does(f"Logs and configuration: {places.folder}. Ctrl-C ends everything.")
    signal.pause()


def tell(narrator: Narrator, *, keep: bool) -> None:
    """The whole story. ``StepFailed``, ``ProgramFailed`` or ``SetupError`` when it cannot be told as it stands."""
    need_programs()
    with TemporaryDirectory(prefix="postern-try-") as folder, ExitStack() as stack:
        places = choose_places(Path(folder))
        start_server(stack, places, narrator)
        start_provider(stack, places, narrator)
        sidecar = start_sidecar(stack, places, render(places, narrator), narrator)
        try:
            show_who_gets_in(places, narrator)
        except StepFailed as failure:
            raise StepFailed(f"{failure}\n{sidecar.failure('was there')}") from failure
        if keep:
            keep_running(places, narrator)


def main() -> int:
    """The exit code: 0 when everything came out as told, 1 when not, 130 after Ctrl-C."""
    # A terminated story ends its programs too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    keep = os.environ.get("KEEP") == "1"
    try:
        tell(Narrator(), keep=keep)
    except (StepFailed, ProgramFailed, SetupError) as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if keep else 130
    print("\nAll as told. Run `KEEP=1 make try` to use it with your own client.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
