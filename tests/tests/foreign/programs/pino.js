// pino over a Unix socket: `pino.js <socket> <records>`.
const net = require("net");
const pino = require("pino");

const [path, records] = [process.argv[2], Number(process.argv[3])];
const socket = net.connect(path);
const logger = pino({ name: "shop", level: "trace" }, { write: (line) => socket.write(line) });
for (let n = 0; n < records; n++) {
  logger.info(`source=pino n=${n} ${"x".repeat(n % 97)};`);
}
logger.child({ request: { id: "r-1" } }).warn({ rows: 17 }, "with %s", "fields");
logger.error(new Error("no route"), "it failed");
socket.end();
