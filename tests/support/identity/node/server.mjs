// A small, real OpenID provider for tests and examples: `ISSUER=… LISTEN=… RESOURCES=… node server.mjs`.
// SIGHUP makes a new signing key; the one before stays published, so a token lives through one rotation, not through two.
// It also reads CLIENTS_FILE anew.
// SIGUSR2 ends all logins: refresh tokens and opaque access tokens are worth nothing any more, browsers stay logged in.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { isInteraction, serveInteraction } from './interactions.mjs';
import { createProvider, createSigningKey } from './provider.mjs';
import { readSettings } from './settings.mjs';

const WELL_KNOWN = /^\/\.well-known\/(oauth-authorization-server|openid-configuration)/;

class RotatingProvider {
  #count = 0;

  #grants = new Set();

  constructor(settings) {
    this.settings = settings;
    this.keys = [];
    this.rotate();
  }

  rotate() {
    this.#count += 1;
    this.keys = [createSigningKey(`key-${this.#count}`), ...this.keys.slice(0, 1)];
    this.provider = createProvider(this.settings, this.keys);
    this.provider.on('grant.saved', (grant) => this.#grants.add(grant.jti));
    this.answer = this.provider.callback();
    console.log(`signing with key-${this.#count}`);
  }

  async revokeLogins() {
    const { AccessToken, AuthorizationCode, Grant, RefreshToken } = this.provider;
    const ended = [...this.#grants];
    this.#grants.clear();
    for (const id of ended) {
      for (const kind of [AccessToken, AuthorizationCode, RefreshToken]) await kind.revokeByGrantId(id);
      await (await Grant.find(id))?.destroy();
    }
    console.log(`revoked ${ended.length} logins`);
  }
}

// Where the provider finds the path; undefined when it is not below the issuer.
function pathInProvider(url, mount) {
  const [path, query] = url.split(/(?=\?)/, 2);
  // RFC 8414 section 3: the issuer's path stands behind the well-known part.
  if (mount && WELL_KNOWN.test(path) && path.endsWith(mount)) return path.slice(0, -mount.length) + (query ?? '');
  if (path !== mount && !path.startsWith(`${mount}/`)) return undefined;
  return url.slice(mount.length) || '/';
}

async function serve(rotating, mount, request, response) {
  const path = pathInProvider(request.url, mount);
  if (path === undefined || path === '/health') {
    response.writeHead(path ? 200 : 404).end();
    return;
  }
  // The provider works out its own addresses from the difference of the two.
  request.originalUrl = mount + path;
  request.url = path;
  if (isInteraction(path)) await serveInteraction(rotating.provider, mount, request, response);
  else rotating.answer(request, response);
}

function main() {
  const settings = readSettings();
  const rotating = new RotatingProvider(settings);
  const handle = (request, response) => {
    serve(rotating, settings.mount, request, response).catch((error) => {
      console.error(`${request.method} ${request.url}:`, error.message);
      if (!response.headersSent) response.writeHead(error.statusCode ?? 500, { 'content-type': 'text/plain' });
      response.end(`${error.message}\n`);
    });
  };
  const server = settings.tls
    ? https.createServer({ cert: readFileSync(settings.tls.cert), key: readFileSync(settings.tls.key) }, handle)
    : http.createServer(handle);
  server.listen(settings.listen.port, settings.listen.host, () => console.log(`ready: ${settings.issuer}`));
  process.on('SIGHUP', () => rotating.rotate());
  process.on('SIGUSR2', () => rotating.revokeLogins());
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}

try {
  main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}
