// Login and consent: what happens between the authorization request and its answer.
import { authenticate } from './accounts.mjs';
import { consentPage, loginPage } from './pages.mjs';

const MAX_FORM_BYTES = 8192;

export function isInteraction(path) {
  return path.startsWith('/interaction/');
}

export async function serveInteraction(provider, mount, request, response) {
  const details = await provider.interactionDetails(request, response);
  const action = `${mount}/interaction/${details.uid}`;
  const step = details.prompt.name === 'login' ? login : consent;
  await step({ provider, request, response, details, action });
}

async function login({ provider, request, response, details, action }) {
  const client = await clientName(provider, details);
  if (request.method !== 'POST') return sendHtml(response, 200, loginPage({ action, client }));
  const form = await readForm(request);
  const accountId = authenticate(form.get('username') ?? '', form.get('password') ?? '');
  if (!accountId) {
    return sendHtml(response, 401, loginPage({ action, client, fault: 'Wrong user or password.' }));
  }
  return provider.interactionFinished(request, response, { login: { accountId } });
}

async function consent({ provider, request, response, details, action }) {
  if (request.method !== 'POST') {
    const page = consentPage({
      action,
      client: await clientName(provider, details),
      account: details.session.accountId,
      resource: details.params.resource,
      scopes: (details.params.scope ?? '').split(' ').filter(Boolean),
    });
    return sendHtml(response, 200, page);
  }
  const form = await readForm(request);
  const result = form.get('decision') === 'allow'
    ? { consent: { grantId: await grantWhatIsMissing(provider, details) } }
    : { error: 'access_denied', error_description: 'the user denied access' };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function grantWhatIsMissing(provider, { grantId, session, params, prompt }) {
  const known = grantId ? await provider.Grant.find(grantId) : undefined;
  const grant = known ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return grant.save();
}

async function clientName(provider, { params }) {
  const client = await provider.Client.find(params.client_id);
  return client?.clientName ?? params.client_id;
}

async function readForm(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > MAX_FORM_BYTES) throw new Error('the form is too large');
  }
  return new URLSearchParams(text);
}

function sendHtml(response, status, html) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(html);
}
