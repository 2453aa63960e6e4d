// Requests by fetch and by https, over connections that are kept alive.
const https = require('node:https');
const paths = ['/v1/embeddings', '/v1/responses?x=y', '/v1/files', '/v1/embeddings', '/v1/threads/t_1/runs', '/v1/nowhere'];
const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
const byHttps = (path) => new Promise((done, failed) => {
  const request = https.request(`https://api.openai.com${path}`, { method: 'POST', agent }, (answer) => {
    answer.resume();
    answer.on('end', done);
  });
  request.on('error', failed);
  request.end('{}'.repeat(5_000));
});
(async () => {
  for (const path of paths) {
    if (process.argv[2] === 'fetch') {
      await (await fetch(`https://api.openai.com${path}`, { method: 'POST', body: '{}' })).text();
    } else {
      await byHttps(path);
    }
  }
  process.exit(0);
})();
