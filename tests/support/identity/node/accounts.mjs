// Two users with passwords, and what tokens say of them.
import { timingSafeEqual } from 'node:crypto';

const ACCOUNTS = new Map([
  ['alice', {
    password: 'alice-pw',
    claims: { name: 'Alice Łukasz', email: 'alice@example.com', roles: ['admin'], groups: ['engineering'], org_id: 'org-north' },
  }],
  ['bob', {
    password: 'bob-pw',
    claims: { name: 'Bob', email: 'bob@example.com', roles: [], groups: [], org_id: 'org-north' },
  }],
]);

// The account's id, or undefined when name or password is wrong.
export function authenticate(username, password) {
  const account = ACCOUNTS.get(username);
  const expected = Buffer.from(account?.password ?? '');
  const given = Buffer.from(password);
  if (!account || expected.length !== given.length || !timingSafeEqual(expected, given)) return undefined;
  return username;
}

export function findAccount(_ctx, id) {
  const account = ACCOUNTS.get(id);
  if (!account) return undefined;
  return { accountId: id, claims: () => ({ sub: id, email_verified: true, ...tokenClaims(id) }) };
}

export function tokenClaims(id) {
  return { preferred_username: id, ...ACCOUNTS.get(id)?.claims };
}
