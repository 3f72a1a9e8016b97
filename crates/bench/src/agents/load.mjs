// The load of NAISYS's runners, made with the library that they have, socket.io-client, against whatever hub is at the address.
// It reads one JSON object a line from its standard input, does it, and answers with one.
import * as https from 'node:https';
import * as readline from 'node:readline';
import * as tls from 'node:tls';

import { io } from 'socket.io-client';

const [host, port] = process.argv.slice(-2);
const runners = [];
const supervisors = [];
let bytes = 0;

// Every runner pins what it saw first; here they all saw the same.
const pem = await new Promise((resolve, reject) => {
  const probe = tls.connect({ host, port, rejectUnauthorized: false }, () => {
    const { raw } = probe.getPeerX509Certificate();
    probe.destroy();
    resolve(`-----BEGIN CERTIFICATE-----\n${raw.toString('base64')}\n-----END CERTIFICATE-----\n`);
  });
  probe.on('error', reject);
});
const agent = new https.Agent({ ca: pem, checkServerIdentity: () => undefined, keepAlive: true });

function open(auth) {
  const socket = io(`https://${host}:${port}/naisys`, { agent, auth, forceNew: true, reconnectionDelay: 1000 });
  socket.io.on('open', () => {
    socket.io.engine.on('packet', ({ data }) => {
      bytes += typeof data === 'string' ? data.length : 0;
    });
  });
  socket.on('agent_start', (_, answer) => answer({ success: true, hostname: auth.hostName }));
  return socket;
}

const connected = (socket) =>
  socket.connected ? Promise.resolve() : new Promise((resolve) => socket.once('connect', resolve));

async function connect({ keys, type, atOnce }) {
  const begun = performance.now();
  let next = 0;
  const list = type === 'supervisor' ? supervisors : runners;
  const before = list.length;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < keys.length) {
        const number = next++;
        const name = `bench-${before + number}`;
        const socket = open({ hubAccessKey: keys[number], hostName: name, hostType: type });
        await connected(socket);
        list[before + number] = socket;
      }
    }),
  );
  return { seconds: (performance.now() - begun) / 1000 };
}

// Until all are there again after their connections were cut.
async function back() {
  const begun = performance.now();
  bytes = 0;
  await Promise.all(runners.map(connected));
  return { seconds: (performance.now() - begun) / 1000, bytes };
}

// All are cut; whoever asked for this has killed the hub.
async function lost() {
  const gone = (socket) => (socket.connected ? new Promise((resolve) => socket.once('disconnect', resolve)) : undefined);
  await Promise.all(runners.map(gone));
  return {};
}

async function beat({ agents }) {
  runners.forEach((socket, at) => socket.emit('heartbeat', { activeUserIds: at < agents.length ? [agents[at]] : [] }));
  return {};
}

// Each client has one request under way at a time.
async function rounds(count, seconds, ask) {
  const times = [];
  const until = performance.now() + seconds * 1000;
  await Promise.all(
    runners.slice(0, count).map(async (socket, at) => {
      while (performance.now() < until) {
        const begun = performance.now();
        await ask(socket, at);
        times.push(performance.now() - begun);
      }
    }),
  );
  return { times, seconds };
}

function mail({ clients, seconds, agents }) {
  const body = 'A report of two hundred letters or so. '.repeat(5);
  return rounds(clients, seconds, async (socket, at) => {
    const fromUserId = agents[at % agents.length];
    const toUserIds = [agents[(at + 1) % agents.length]];
    const answer = await socket.emitWithAck('mail_send', { fromUserId, toUserIds, subject: 'load', body, kind: 'mail' });
    if (!answer.success) throw new Error(answer.error);
  });
}

// A batch counts when a supervisor was pushed its last line, which a hub does when it is durable.
function logs({ clients, seconds, agents, batch }) {
  const waiting = new Map();
  const heard = ({ entries }) => {
    const last = entries.at(-1).message;
    waiting.get(last)?.();
    waiting.delete(last);
  };
  supervisors[0].on('log_push', heard);
  let number = 0;
  return rounds(clients, seconds, (socket, at) => {
    const entries = Array.from({ length: batch }, () => ({
      userId: agents[at % agents.length],
      runId: 1,
      sessionId: 1,
      role: 'NAISYS',
      source: 'console',
      type: 'comment',
      message: `line ${number++}`,
      createdAt: new Date().toISOString(),
    }));
    const pushed = new Promise((resolve) => waiting.set(entries.at(-1).message, resolve));
    socket.emit('log_write', { entries });
    return pushed;
  }).finally(() => supervisors[0].off('log_push', heard));
}

// From the moment a mail is sent until the last supervisor knows.
async function fan({ count, agents }) {
  const times = [];
  for (let round = 0; round < count; round++) {
    const all = Promise.all(supervisors.map((socket) => new Promise((resolve) => socket.once('mail_push', resolve))));
    const begun = performance.now();
    const post = { fromUserId: agents[0], toUserIds: [agents[1]], subject: 'fan', body: 'out', kind: 'mail' };
    runners[0].emit('mail_send', post, () => {});
    await all;
    times.push(performance.now() - begun);
  }
  return { times };
}

async function search({ count, agent, words }) {
  const times = [];
  for (let round = 0; round < count; round++) {
    const begun = performance.now();
    const answer = await runners[0].emitWithAck('mail_search', { userId: agent, terms: words[round % words.length] });
    if (!answer.success) throw new Error(answer.error);
    times.push(performance.now() - begun);
  }
  return { times };
}

const commands = { connect, back, lost, beat, mail, logs, fan, search };
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  const answer = await commands[command](given).catch((error) => ({ error: error.message }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
