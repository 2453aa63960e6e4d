// A TLS client of node: HOST PORT NAME VERSION.
const [host, port, servername, version] = process.argv.slice(2);
const exact = `TLSv${version}`;
const client = require("tls").connect(
  { host, port, servername, rejectUnauthorized: false, minVersion: exact, maxVersion: exact },
  () => client.write("GET / HTTP/1.0\r\n\r\n"),
);
client.once("data", () => client.destroy());
client.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
