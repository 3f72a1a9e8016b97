// A client of the Model Context Protocol, by the protocol's own library: it starts the server that its arguments name, does the calls
// that it reads, one JSON object a line, and prints what came of each. The library checks answers against the tools' schemas.
import * as readline from 'node:readline';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const say = (what) => console.log(JSON.stringify(what));
const [command, ...args] = process.argv.slice(1);
const client = new Client({ name: 'mcp_client', version: '1.0.0' });
client.onerror = (error) => say({ outOfBand: error.message });
await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' }));
const { tools } = await client.listTools();
say({ server: client.getServerVersion(), instructions: client.getInstructions(), tools });
for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    say(await client.callTool(JSON.parse(line)));
  } catch (error) {
    say({ code: error.code, message: error.message });
  }
}
await client.close();
