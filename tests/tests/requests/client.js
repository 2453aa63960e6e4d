// Requests by fetch, https and http2, over connections that are kept alive.
const http2 = require('node:http2');
const https = require('node:https');
const paths = ['/v1/embeddings', `/v1/responses?key=${process.env.CANARY}`, '/v1/files', '/v1/embeddings', '/v1/threads/t_1/runs', '/v1/nowhere'];
const secret = process.env.CANARY || 'secret';
const headers = { authorization: `Bearer ${secret}` };
const body = (count) => JSON.stringify({ said: secret }) + '{}'.repeat(count);
const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
const byHttps = (path) => new Promise((done, failed) => {
  const request = https.request(`https://api.openai.com${path}`, { method: 'POST', agent, headers }, (answer) => {
    answer.resume();
    answer.on('end', done);
  });
  request.on('error', failed);
  request.end(body(5_000));
});
const byHttp2 = (session, path) => new Promise((done, failed) => {
  const request = session.request({ ':method': 'POST', ':path': path, ...headers });
  request.resume();
  request.on('end', done);
  request.on('error', failed);
  request.end(body(2_000_000));
});
(async () => {
  if (process.argv[2] === 'http2') {
    const session = http2.connect('https://api.openai.com');
    await Promise.all(paths.map((path) => byHttp2(session, path)));
    for (const path of paths) await byHttp2(session, path);
    process.exit(0);
  }
  for (const path of paths) {
    if (process.argv[2] === 'fetch') {
      await (await fetch(`https://api.openai.com${path}`, { method: 'POST', headers, body: body(0) })).text();
    } else {
      await byHttps(path);
    }
  }
  process.exit(0);
})();
