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
    accessTokenSeconds: seconds('TTL', 300),
  };
}
