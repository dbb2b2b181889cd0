// An MCP client on the official TypeScript SDK: `node client.mjs v1|v2 URL [AUTH_METHOD]`. Whoever started it is its user:
// a line of JSON on stdin is a command, a line on stdout its result, or {"open": URL} for the browser, which the next
// line of stdin answers with {"callback": QUERY}.
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';

const REDIRECT_URI = 'http://127.0.0.1:3032/callback';

const [, , version, url, authMethod] = process.argv;
const sdk = version === 'v1'
  ? { ...await import('@modelcontextprotocol/sdk/client/index.js'), ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js') }
  : await import('@modelcontextprotocol/client');

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function hear() {
  const { done, value } = await lines.next();
  if (done) process.exit(0);
  return JSON.parse(value);
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

// What the SDK wants to know of us, and what it gives us to keep.
class Login {
  #kept = {};

  redirectUrl = REDIRECT_URI;

  clientMetadata = {
    client_name: `MCP TypeScript SDK ${version}`,
    redirect_uris: [REDIRECT_URI],
    ...(authMethod && { token_endpoint_auth_method: authMethod }),
  };

  state() { return (this.#kept.state = randomUUID()); }

  clientInformation() { return this.#kept.client; }

  saveClientInformation(client) { this.#kept.client = client; }

  tokens() { return this.#kept.tokens; }

  saveTokens(tokens) { this.#kept.tokens = tokens; }

  codeVerifier() { return this.#kept.verifier; }

  saveCodeVerifier(verifier) { this.#kept.verifier = verifier; }

  discoveryState() { return this.#kept.discovery; }

  saveDiscoveryState(discovery) { this.#kept.discovery = discovery; }

  invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'client') delete this.#kept.client;
    if (scope === 'all' || scope === 'tokens') delete this.#kept.tokens;
  }

  async redirectToAuthorization(target) {
    say({ open: target.href });
    this.#kept.callback = new URLSearchParams((await hear()).callback);
  }

  // The parameters with which the browser came back; undefined when it was not sent away since.
  takeCallback() {
    const { callback, state } = this.#kept;
    delete this.#kept.callback;
    if (callback && callback.get('state') !== state) throw new Error('the callback has a foreign state');
    if (callback?.has('error')) throw new Error(callback.get('error'));
    return callback;
  }

  spoilAccessToken() {
    this.#kept.tokens = { ...this.#kept.tokens, access_token: 'spoiled' };
  }
}

class Session {
  #login = new Login();

  async connect() {
    // v1 knows the eras with sessions alone.
    const options = version === 'v1' ? {} : { versionNegotiation: { mode: 'auto' } };
    await this.#loggingIn(async () => {
      this.transport = new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider: this.#login });
      this.client = new sdk.Client({ name: 'postern-tests', version: '1' }, options);
      await this.client.connect(this.transport);
    });
  }

  async tools() {
    return this.#loggingIn(async () => (await this.client.listTools()).tools.map((tool) => tool.name));
  }

  async call({ tool, arguments: given }) {
    return this.#loggingIn(() => this.client.callTool({ name: tool, arguments: given }));
  }

  spoil() {
    this.#login.spoilAccessToken();
  }

  // The SDK sends the browser away and gives up; the application goes on when the browser is back.
  async #loggingIn(attempt) {
    try {
      return await attempt();
    } catch (error) {
      const callback = this.#login.takeCallback();
      if (!callback) throw error;
      await this.transport.finishAuth(version === 'v1' ? callback.get('code') : callback);
      return attempt();
    }
  }
}

const session = new Session();
for (;;) {
  const command = await hear();
  try {
    say({ result: await session[command.do](command) ?? null });
  } catch (error) {
    say({ error: `${error.constructor.name}: ${error.message}` });
  }
}
