// The settings, all from the environment; wrong ones end the program with one line.

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

function seconds(name, fallback) {
  const value = Number(process.env[name] ?? fallback);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} must be a whole number of seconds`);
  return value;
}

function listenAddress(text) {
  const at = text.lastIndexOf(':');
  const port = Number(text.slice(at + 1));
  if (at < 1 || !Number.isInteger(port)) throw new Error('LISTEN must be ADDRESS:PORT');
  return { host: text.slice(0, at), port };
}

function issuerUrl(text) {
  const url = new URL(text);
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'https:' && !loopback) throw new Error('ISSUER must be https, or http on loopback');
  if (text.endsWith('/')) throw new Error('ISSUER must not end in a slash');
  return url;
}

// Clients that the provider knows from the start: JSON, as in their registration.
function knownClients(text) {
  const clients = JSON.parse(text ?? '[]');
  if (!Array.isArray(clients)) throw new Error('CLIENTS must be a JSON array');
  return clients;
}

export function readSettings() {
  const issuer = required('ISSUER');
  const tls = process.env.TLS_CERT ? { cert: required('TLS_CERT'), key: required('TLS_KEY') } : undefined;
  return {
    issuer,
    // An issuer with a path is served below that path.
    mount: issuerUrl(issuer).pathname.replace(/\/$/, ''),
    listen: listenAddress(required('LISTEN')),
    tls,
    // Resource indicators (RFC 8707) that tokens may be asked for.
    resources: required('RESOURCES').split(/[\s,]+/).filter(Boolean),
    // What a token is for when the client names no resource; undefined: for none, and opaque.
    defaultResource: process.env.DEFAULT_RESOURCE || undefined,
    accessTokenSeconds: seconds('TTL', 300),
    clients: knownClients(process.env.CLIENTS),
    // The same in a file, which is read anew at each SIGHUP.
    clientsFile: process.env.CLIENTS_FILE || undefined,
    registration: process.env.REGISTRATION !== 'off',
    // Access tokens that nobody but the provider can read.
    opaque: process.env.TOKENS === 'opaque',
    // A refresh token is good for one use.
    rotation: process.env.ROTATION !== 'off',
  };
}
