// The two pages that a person meets, as plain HTML forms.

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

function page(title, body) {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title>
<style>body{font:16px/1.5 sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem}label,input,button{display:block;width:100%;box-sizing:border-box}
input{padding:.4rem;margin-bottom:1rem}button{padding:.5rem;margin-top:.5rem}.fault{color:#a00}</style></head>
<body><h1>${escape(title)}</h1>
${body}
</body></html>
`;
}

export function loginPage({ action, client, fault }) {
  return page('Log in', `<p>${escape(client)} asks who you are.</p>
${fault ? `<p class="fault" role="alert">${escape(fault)}</p>` : ''}
<form method="post" action="${escape(action)}">
<label for="username">User</label><input id="username" name="username" autocomplete="username" required autofocus>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Log in</button>
</form>`);
}

export function consentPage({ action, client, account, resource, scopes }) {
  return page('Allow access?', `<p>You are <strong>${escape(account)}</strong>. <strong>${escape(client)}</strong> asks for access${resource ? ` to <code>${escape(resource)}</code>` : ''}:</p>
<ul>${scopes.map((scope) => `<li><code>${escape(scope)}</code></li>`).join('')}</ul>
<form method="post" action="${escape(action)}">
<button type="submit" name="decision" value="allow">Allow</button>
<button type="submit" name="decision" value="deny">Deny</button>
</form>`);
}
