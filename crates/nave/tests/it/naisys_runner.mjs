// A runner in the manner of NAISYS: its key in HUB_ACCESS_KEY, the hub as its argument. Its agents answer each mail with a
// mail to whoever wrote, and spend as many dollars as a mail says.
import * as crypto from 'node:crypto';
import * as https from 'node:https';
import * as os from 'node:os';
import * as tls from 'node:tls';

import { io } from 'socket.io-client';

const hub = new URL(process.argv[1]);
const key = process.env.HUB_ACCESS_KEY;
const probe = tls.connect({ host: hub.hostname, port: hub.port, rejectUnauthorized: false }, () => {
  const { raw } = probe.getPeerX509Certificate();
  probe.destroy();
  const fingerprint = crypto.createHash('sha256').update(raw).digest('hex');
  if (!fingerprint.startsWith(key.slice(0, key.indexOf('+')))) {
    throw new Error('another certificate');
  }
  run(`-----BEGIN CERTIFICATE-----\n${raw.toString('base64')}\n-----END CERTIFICATE-----\n`);
});

function run(ca) {
  const socket = io(`${hub.origin}/naisys`, {
    agent: new https.Agent({ ca, checkServerIdentity: () => undefined }),
    auth: (show) => show({ hubAccessKey: key, hostName: os.hostname(), hostType: 'naisys' }),
    reconnectionDelayMax: 30000,
  });
  const running = new Map();
  const read = new Map();
  let users = [];
  const name = (id) => users.find((user) => user.userId === id)?.username;
  const number = (username) => users.find((user) => user.username === username)?.userId;
  const ask = (event, payload) => new Promise((resolve) => { socket.emit(event, payload, resolve); });
  const beat = () => socket.emit('heartbeat', { activeUserIds: [...running.keys()] });
  const log = (userId, message) => socket.emit('log_write', {
    entries: [{
      userId, ...running.get(userId), role: 'NAISYS', source: null, type: 'comment', message,
      createdAt: new Date().toISOString(),
    }],
  });
  async function begin(userId, modelName) {
    const { runId, sessionId } = await ask('session_create', { userId, modelName });
    running.set(userId, { runId, sessionId });
    beat();
    log(userId, 'AGENT STARTED');
  }
  async function mails(userId) {
    const { messages } = await ask('mail_unread', { userId, kind: 'mail', afterId: read.get(userId) ?? 0 });
    for (const mail of messages) {
      read.set(userId, mail.id);
      console.log(`${name(userId)} reads ${mail.subject}: ${mail.body}`);
      await ask('mail_mark_read', { userId, messageIds: [mail.id], kind: 'mail' });
      const spends = /^spend (\d+)$/.exec(mail.body);
      if (spends) {
        const { budgets } = await ask('cost_write', {
          entries: [{
            userId, ...running.get(userId), source: 'console', model: 'mock', cost: Number(spends[1]),
            inputTokens: 1, outputTokens: 1, cacheWriteTokens: 0, cacheReadTokens: 0,
          }],
        });
        console.log(`${name(userId)} has ${budgets[0]?.budgetLeft} left`);
      } else if (!mail.subject.startsWith('Re: ')) {
        await ask('mail_send', {
          fromUserId: userId, toUserIds: [number(mail.fromUsername)], subject: `Re: ${mail.subject}`,
          body: `done by ${name(userId)}`, kind: 'mail',
        });
      }
    }
  }
  socket.on('connect', () => console.log('connected'));
  socket.on('connect_error', (error) => console.log(`refused: ${error.message}`));
  socket.on('disconnect', (reason) => {
    console.log(`disconnected: ${reason}`);
    if (reason === 'io server disconnect') {
      socket.connect();
    }
  });
  socket.on('users_updated', async (told) => {
    const isFirst = users.length === 0;
    users = told.users;
    if (isFirst) {
      await begin(number('admin'), 'none');
    }
  });
  socket.on('agent_start', async ({ startUserId }, ack) => {
    await begin(startUserId, 'mock');
    console.log(`started ${name(startUserId)}`);
    ack({ success: true, hostname: os.hostname() });
    await mails(startUserId);
  });
  socket.on('agent_stop', ({ userId, reason }, ack) => {
    running.delete(userId);
    beat();
    console.log(`stopped ${name(userId)}: ${reason}`);
    ack({ success: true });
  });
  socket.on('agent_peek', ({ userId }, ack) => ack({ success: true, lines: [`${name(userId)} thinks`], totalLines: 1 }));
  socket.on('mail_received', ({ recipientUserIds }) => {
    recipientUserIds.filter((id) => running.has(id)).forEach((id) => mails(id));
  });
  socket.on('cost_control', ({ userId, enabled, reason }) => console.log(`${name(userId)} may spend: ${enabled}, ${reason}`));
  setInterval(beat, 2000);
}
