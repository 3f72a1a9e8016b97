// What a hub may push, as strictly as NAISYS's programs look at it and more: they end when something is missing or is of
// another type; here what they do not know is wrong too. Before runner.mjs.
const number = (value) => (typeof value === 'number' && Number.isFinite(value) ? undefined : 'is no number');
const whole = (value) => (Number.isSafeInteger(value) ? undefined : 'is no whole number');
const text = (value) => (typeof value === 'string' ? undefined : 'is no text');
const flag = (value) => (typeof value === 'boolean' ? undefined : 'is no boolean');
const is = (constant) => (value) => (value === constant ? undefined : `is not ${constant}`);
const time = (value) => (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) ? undefined : 'is no time');
const name = (value) => (/^[a-zA-Z0-9_-]+$/.test(value) ? undefined : 'is no name');
const some = (value) => (typeof value === 'string' && value.length > 0 ? undefined : 'is empty');
const one = (...words) => (value) => (words.includes(value) ? undefined : `is none of ${words}`);
const orNull = (rule) => (value) => (value === null ? undefined : rule(value));
const optional = (rule) => Object.assign((value) => rule(value), { optional: true });
const list = (rule) => (value) => {
  if (!Array.isArray(value)) {
    return 'is no list';
  }
  return value.map((item, at) => rule(item) && `[${at}] ${rule(item)}`).find(Boolean);
};
const map = (rule) => (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'is no object';
  }
  return Object.entries(value).map(([key, item]) => rule(item) && `${key}: ${rule(item)}`).find(Boolean);
};
const object = (fields) => (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'is no object';
  }
  for (const [key, rule] of Object.entries(fields)) {
    if (!(key in value)) {
      if (!rule.optional) {
        return `${key} is missing`;
      }
    } else if (rule(value[key])) {
      return `${key} ${rule(value[key])}`;
    }
  }
  const strange = Object.keys(value).find((key) => !(key in fields));
  return strange && `${strange} is nothing that is known`;
};

const kind = one('mail', 'chat');
const run = { userId: whole, runId: whole, sessionId: whole };
const attachment = object({ id: (value) => (/^[\w-]{10}$/.test(value) ? undefined : 'is no id'), filename: text, fileSize: whole });
const config = object({
  username: name, title: text, agentPrompt: some, tokenMax: whole, shellModel: some,
  spendLimitDollars: optional(number), spendLimitHours: optional(number), imageModel: optional(text),
  mailEnabled: optional(flag), chatEnabled: optional(flag), webEnabled: optional(flag),
  completeSessionEnabled: optional(flag), wakeOnMessage: optional(flag), multipleCommandsEnabled: optional(flag),
  workspacesEnabled: optional(flag), controlDesktop: optional(flag), debugPauseSeconds: optional(whole),
  commandProtection: optional(one('none', 'manual', 'semi-auto', 'auto')), initialCommands: optional(list(text)),
});
const llm = object({
  key: some, label: some, versionName: some, apiType: one('openai', 'google', 'anthropic', 'mock', 'none'),
  maxTokens: whole, baseUrl: optional(text), apiKeyVar: text, inputCost: number, outputCost: number,
  cacheWriteCost: optional(number), cacheReadCost: optional(number), cacheTtlSeconds: optional(number),
  supportsVision: optional(flag), supportsHearing: optional(flag), supportsComputerUse: optional(flag),
});
const image = object({
  key: some, label: some, versionName: some, size: some, baseUrl: optional(text), apiKeyVar: text, cost: number,
  quality: optional(one('standard', 'hd', 'high', 'medium', 'low')),
});
const contract = {
  hosts_updated: object({
    hosts: list(object({
      hostId: whole, hostName: some, restricted: flag, hostType: one('naisys', 'supervisor'), online: flag,
    })),
  }),
  variables_updated: object({
    success: is(true),
    config: object({
      shellCommand: object({ outputTokenMax: is(7500), timeoutSeconds: is(10), maxTimeoutSeconds: is(300) }),
      retrySecondsMax: is(1800), webTokenMax: is(5000), compactSessionEnabled: is(true),
      preemptiveCompactEnabled: is(true), variableMap: map(text), shellVariableMap: map(text),
      googleSearchEngineId: optional(text), spendLimitDollars: optional(number), spendLimitHours: optional(number),
      useToolsForLlmConsoleResponses: is(true), autoStartAgentsOnMessage: is(true),
    }),
  }),
  models_updated: object({ success: is(true), llmModels: list(llm), imageModels: list(image) }),
  users_updated: object({
    success: is(true),
    users: list(object({
      userId: whole, username: name, enabled: flag, leadUserId: optional(whole), config,
      assignedHostIds: optional(list(whole)),
      apiKey: optional((value) => (/^[0-9a-f]{64}$/.test(value) ? undefined : 'is no key')),
    })),
  }),
  agents_status: object({
    hostActiveAgents: map(list(whole)),
    agentNotifications: map(object({ latestLogId: whole, latestMailId: whole, latestChatId: whole })),
  }),
  cost_control: object({ userId: whole, enabled: flag, reason: text }),
  mail_received: object({ recipientUserIds: list(whole), kind }),
  agent_start: object({
    startUserId: whole, taskDescription: optional(text), requesterUserId: optional(whole), sourceHostId: optional(whole),
  }),
  agent_stop: object({ userId: whole, reason: text, sourceHostId: optional(whole) }),
  agent_peek: object({ userId: whole, skip: optional(whole), take: optional(whole), sourceHostId: optional(whole) }),
  log_push: object({
    entries: list(object({
      id: whole, previousId: orNull(whole), ...run, role: one('NAISYS', 'LLM'),
      source: orNull(one('startPrompt', 'endPrompt', 'console', 'llm')),
      type: orNull(one('comment', 'error', 'system', 'tool')), message: text, createdAt: time,
      attachmentId: optional(text), attachmentFilename: optional(text), attachmentFileSize: optional(whole),
    })),
    sessionUpdates: list(object({ ...run, lastActive: time, latestLogId: whole, totalLinesDelta: whole })),
  }),
  mail_push: object({
    recipientUserIds: list(whole), fromUserId: whole, kind, messageId: whole, subject: optional(text), body: text,
    createdAt: time, participants: text, attachments: optional(list(attachment)),
  }),
  mail_read_push: object({ messageIds: list(whole), userId: whole, kind, participants: list(text) }),
  cost_push: object({ entries: list(object({ ...run, costDelta: number })) }),
  session_push: object({
    session: object({
      ...run, modelName: text, createdAt: time, lastActive: time, latestLogId: is(0), totalLines: is(0), totalCost: is(0),
    }),
  }),
};

// What a program of NAISYS would not survive, or does not know.
function wrong(event, payload) {
  if (!(event in contract)) {
    return 'is no event that is known';
  }
  return payload.length === 1 ? contract[event](payload[0]) : `has ${payload.length} arguments`;
}
