// A provider of sign-in on loopback, for tests: the package oidc-provider with its own pages for login and consent.
// It reads one JSON object a line from its standard input and answers each with one line: first what it is made of,
// then changes to that, and {"listen": false} or true to be out of reach and back. It ends with its standard input.
import * as crypto from 'node:crypto';
import * as https from 'node:https';
import * as readline from 'node:readline';

import * as jose from 'jose';
import Provider from 'oidc-provider';
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js';

// What is known outlives every change of the configuration, as with a database.
const adapter = createMemoryAdapter();
const cookieKeys = [crypto.randomBytes(32).toString('hex')];
const shape = { accounts: {}, clients: [], alg: 'RS256', rotations: 0, ttl: {}, claimsInIdToken: false, forge: null, refreshAlways: false, clientAuthMethods: ['none', 'client_secret_basic'] };

let server;
let port = 0;
let provider;
let key;
let keyMadeFor;

async function signingKey() {
  const wanted = `${shape.alg} ${shape.rotations}`;
  if (keyMadeFor !== wanted) {
    const made = await jose.generateKeyPair(shape.alg, { extractable: true });
    key = { ...(await jose.exportJWK(made.privateKey)), alg: shape.alg, use: 'sig' };
    key.kid = await jose.calculateJwkThumbprint(key);
    keyMadeFor = wanted;
  }
  return key;
}

async function build() {
  const built = new Provider(`https://127.0.0.1:${port}`, {
    adapter,
    jwks: { keys: [await signingKey()] },
    cookies: { keys: cookieKeys },
    clients: shape.clients.map((client) => ({
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: shape.alg,
      ...client,
    })),
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'given_name', 'family_name', 'preferred_username', 'groups', 'realm'],
    },
    conformIdTokenClaims: !shape.claimsInIdToken,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    clientAuthMethods: shape.clientAuthMethods,
    pkce: { required: () => true },
    // As other providers do; this one's own rule wants consent each time.
    ...(shape.refreshAlways && { issueRefreshToken: async () => true }),
    ttl: { AccessToken: 3600, IdToken: 3600, Interaction: 600, Session: 3600, Grant: 3600, ...shape.ttl },
    findAccount: (_, id) => shape.accounts[id] && {
      accountId: id,
      claims: async () => ({ sub: id, ...shape.accounts[id] }),
    },
  });
  built.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/token' && ctx.body?.id_token && shape.forge) {
      ctx.body = { ...ctx.body, id_token: await forged(ctx.body.id_token) };
    }
  });
  provider = built.callback();
}

// A token that this provider would not make: with other claims, signed with a key that is not published, or not signed
// by a public key at all.
async function forged(token) {
  const { claims: other, otherKey, alg } = shape.forge;
  const header = jose.decodeProtectedHeader(token);
  const claims = { ...jose.decodeJwt(token), ...other };
  if (alg === 'none') return new jose.UnsecuredJWT(claims).encode();
  if (alg === 'HS256') {
    const publicKey = new TextEncoder().encode(JSON.stringify({ kty: key.kty, n: key.n, e: key.e }));
    return new jose.SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(publicKey);
  }
  const signer = otherKey
    ? (await jose.generateKeyPair(header.alg)).privateKey
    : await jose.importJWK(await signingKey(), header.alg);
  return new jose.SignJWT(claims).setProtectedHeader(header).sign(signer);
}

function listen({ cert, key: tlsKey }) {
  server ??= https.createServer({ cert, key: tlsKey }, (request, response) => provider(request, response));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      port = server.address().port;
      resolve();
    });
  });
}

function close() {
  return new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
}

async function change({ tls, listen: open, ...more }) {
  if (tls) await listen(tls);
  if (open === false) await close();
  if (open === true) await listen({});
  Object.assign(shape, more);
  await build();
  return { port };
}

// The library talks on standard output too, which is for answers here.
console.info = console.error;
for await (const line of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await change(JSON.parse(line)))}\n`);
}
process.exit(0);
