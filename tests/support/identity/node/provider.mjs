// The OpenID provider: authorization code with S256, dynamic registration, resource-bound JWT access tokens.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Provider, { errors } from 'oidc-provider';
import { findAccount, tokenClaims } from './accounts.mjs';

const RESOURCE_SCOPES = ['weather:read', 'weather:write'];
const DAY = 24 * 60 * 60;

export function createSigningKey(kid) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid };
}

function resourceIndicators({ resources, defaultResource, accessTokenSeconds, opaque }) {
  return {
    enabled: true,
    // A code that was asked for a resource gives a token for it, also when the token request does not repeat it.
    useGrantedResource: () => true,
    defaultResource: (_ctx, _client, oneOf) => oneOf?.[0] ?? defaultResource,
    getResourceServerInfo: (_ctx, resource) => {
      if (!resources.includes(resource)) throw new errors.InvalidTarget();
      return {
        scope: RESOURCE_SCOPES.join(' '),
        audience: resource,
        accessTokenTTL: accessTokenSeconds,
        ...(opaque ? { accessTokenFormat: 'opaque' } : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
      };
    },
  };
}

// The first key signs; the others are still published. All providers of one process share their sessions and grants.
export function createProvider(settings, keys) {
  const provider = new Provider(settings.issuer, {
    jwks: { keys },
    cookies: { keys: ['this provider is for tests only'] },
    clients: settings.clientsFile ? JSON.parse(readFileSync(settings.clientsFile, 'utf8')) : settings.clients,
    clientDefaults: { grant_types: ['authorization_code', 'refresh_token'] },
    clientBasedCORS: () => true,
    scopes: ['openid', 'offline_access', 'profile', 'email', ...RESOURCE_SCOPES],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'roles', 'groups', 'org_id'],
      email: ['email', 'email_verified'],
    },
    findAccount,
    extraTokenClaims: (_ctx, token) => (token.accountId ? tokenClaims(token.accountId) : undefined),
    responseTypes: ['code'],
    pkce: { required: () => true },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: settings.rotation,
    interactions: { url: (_ctx, interaction) => `${settings.mount}/interaction/${interaction.uid}` },
    ttl: {
      AccessToken: settings.accessTokenSeconds, AuthorizationCode: 60, Grant: DAY, IdToken: 300, Interaction: 600, RefreshToken: DAY, Session: DAY,
    },
    renderError: (ctx, fault) => { ctx.type = 'json'; ctx.body = fault; },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: settings.registration },
      revocation: { enabled: true },
      // Of opaque tokens alone; to clients that authenticate with a secret.
      introspection: { enabled: settings.opaque, allowedPolicy: (_ctx, client) => client.clientAuthMethod !== 'none' },
      resourceIndicators: resourceIndicators(settings),
    },
  });
  provider.on('server_error', (_ctx, error) => console.error('server error:', error));
  return provider;
}
