// Runs the server audits of graphql-http against a URL:
//   node run.mjs http://127.0.0.1:8080/graphql
// Without a URL it starts the edge with its small test schema (needs Go).
// Exits with 1 when an audit fails, with 2 when it could not be run.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { serverAudits } from 'graphql-http';

const expected = 61;

let server;
async function start() {
  server = spawn('go', ['run', './serve'], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: server.stdout })) return line;
  throw new Error('the test server did not start');
}

try {
  const url = process.argv[2] ?? (await start());
  const audits = serverAudits({ url, fetchFn: fetch });
  let passed = 0;
  for (const audit of audits) {
    const result = await audit.fn();
    if (result.status === 'ok') {
      passed++;
    } else {
      console.error(`${result.status} ${audit.id} ${audit.name}: ${result.reason}`);
    }
  }
  console.log(`${passed} of ${audits.length} passed`);
  if (audits.length !== expected) {
    console.error(`there are ${audits.length} audits, not ${expected}: read what has changed`);
  }
  process.exitCode = passed === audits.length && audits.length === expected ? 0 : 1;
} catch (err) {
  console.error(err);
  process.exitCode = 2;
} finally {
  server?.stdin.end();
}
