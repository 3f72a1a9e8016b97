// Clients that connect as NAISYS's runners do, with their own library, socket.io-client. It reads one JSON object a line from
// its standard input and writes what happens to its clients, one JSON object a line. It ends with its standard input.
import * as crypto from 'node:crypto';
import * as https from 'node:https';
import * as readline from 'node:readline';
import * as tls from 'node:tls';

import { io } from 'socket.io-client';

const clients = new Map();

function tell(id, saw, more = {}) {
  process.stdout.write(`${JSON.stringify({ id, saw, ...more })}\n`);
}

// A runner looks at the certificate on a connection of its own, and from then on trusts that one only.
function pin(host, port, key) {
  return new Promise((resolve, reject) => {
    const probe = tls.connect({ host, port, rejectUnauthorized: false }, () => {
      const { raw } = probe.getPeerX509Certificate();
      probe.destroy();
      const fingerprint = crypto.createHash('sha256').update(raw).digest('hex');
      if (!fingerprint.startsWith(key.slice(0, key.indexOf('+')))) {
        reject(new Error(`another certificate: ${fingerprint}`));
        return;
      }
      const pem = `-----BEGIN CERTIFICATE-----\n${raw.toString('base64')}\n-----END CERTIFICATE-----\n`;
      resolve(new https.Agent({ ca: pem, checkServerIdentity: () => undefined }));
    });
    probe.on('error', reject);
  });
}

const agents = new Map();

async function connect({ id, host, port, key, namespace, auth, options, strict }) {
  const trusted = `${host}:${port} ${key}`;
  if (!agents.has(trusted)) {
    agents.set(trusted, pin(host, port, key));
  }
  const agent = await agents.get(trusted);
  const client = { auth, answers: {}, held: {}, holds: new Set() };
  clients.set(id, client);
  const socket = io(`https://${host}:${port}${namespace}`, {
    agent,
    auth: (show) => show(client.auth),
    forceNew: true,
    reconnectionDelay: 1000,
    reconnectionDelayMax: 30000,
    ...options,
  });
  client.socket = socket;
  const engine = () => {
    socket.io.engine.on('upgrade', (transport) => tell(id, 'upgrade', { transport: transport.name }));
    tell(id, 'open', { transport: socket.io.engine.transport.name, maxPayload: socket.io.engine._maxPayload });
  };
  socket.io.on('open', engine);
  socket.io.on('error', (error) => tell(id, 'error', { message: error.message }));
  socket.io.on('reconnect_attempt', (attempt) => tell(id, 'attempt', { attempt }));
  socket.on('connect', () => tell(id, 'connect', { sid: socket.id }));
  socket.on('connect_error', (error) => {
    tell(id, 'connect_error', { message: error.message, data: error.data ?? null, active: socket.active });
  });
  socket.on('disconnect', (reason) => {
    tell(id, 'disconnect', { reason });
    if (reason === 'io server disconnect') {
      socket.connect();
    }
  });
  socket.onAny((event, ...rest) => {
    const ack = typeof rest.at(-1) === 'function' ? rest.pop() : undefined;
    const problem = strict ? wrong(event, rest) : undefined;
    if (problem) {
      tell(id, 'malformed', { event, problem, payload: rest });
    }
    tell(id, 'event', { event, payload: rest, asked: ack !== undefined });
    if (ack && client.holds.has(event)) {
      client.held[event] = ack;
      return;
    }
    if (ack && event in client.answers) {
      ack(client.answers[event]);
    }
  });
}

const commands = {
  connect: (line) => connect(line).catch((error) => tell(line.id, 'failed', { message: error.message })),
  emit: ({ id, event, payload }) => clients.get(id).socket.emit(event, ...payload),
  ask: ({ id, event, payload, n }) => {
    clients.get(id).socket.emit(event, ...payload, (answer) => tell(id, 'answer', { n, answer }));
  },
  // Asks many times at once, with a subject each, and tells what came of it when all are answered.
  askMany: ({ id, event, payload, times, n }) => {
    const answer = { taken: [], refused: {} };
    let left = times;
    for (let at = 0; at < times; at += 1) {
      clients.get(id).socket.emit(event, { ...payload, subject: String(at) }, ({ success, error }) => {
        if (success) {
          answer.taken.push(at);
        } else {
          const words = error.replace(/\d+ s$/, 'N s');
          answer.refused[words] = (answer.refused[words] ?? 0) + 1;
        }
        left -= 1;
        if (left === 0) {
          tell(id, 'answer', { n, answer });
        }
      });
    }
  },
  // Of that many bytes altogether, so that nobody has to write them down here.
  emitLong: ({ id, event, length }) => clients.get(id).socket.emit(event, { text: 'x'.repeat(length) }),
  answerWith: ({ id, event, answer }) => {
    clients.get(id).answers[event] = answer;
    tell(id, 'ready');
  },
  // From now on it thinks about what it is asked, until it is told what to answer.
  hold: ({ id, event }) => {
    clients.get(id).holds.add(event);
    tell(id, 'ready');
  },
  release: ({ id, event, answer }) => {
    clients.get(id).held[event](answer);
    delete clients.get(id).held[event];
  },
  // Anything over HTTP, as agents bring and fetch their files.
  http: async ({ id, n, host, port, key, method, path, headers, body }) => {
    const agent = await pin(host, port, key);
    const request = https.request({ host, port, agent, method, path, headers }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => tell(id, 'answer', { n, status: answer.statusCode, headers: answer.headers, text }));
    });
    request.on('error', (error) => tell(id, 'answer', { n, error: error.message }));
    request.end(body);
  },
  show: ({ id, auth }) => { clients.get(id).auth = auth; },
  leave: ({ id }) => clients.get(id).socket.disconnect(),
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
}
process.exit(0);
