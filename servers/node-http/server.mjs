#!/usr/bin/node
// node-http: Node's standard web server, used as its authors intend.
//
// One thread runs JavaScript; beneath it libuv waits for all sockets with one epoll instance and calls back. node:http does
// the parsing (llhttp), keep-alive, pipelining, Date and the time limits; each request arrives here as a pair of objects,
// and a handler that has to wait returns at once and leaves a timer or a callback behind.
//
// Needs: Linux 3.10, Node 20. Leaves out: a second core (node:cluster), TLS; where node:http is laxer than the contract, or
// keeps to itself what it would have counted, variant.toml says so.
// By hand: node server.mjs & curl -i 'http://127.0.0.1:8080/delay?ms=500'

import { createServer, STATUS_CODES } from 'node:http';
import { readConfig } from './config.mjs';
import { counters, countError, renderStats } from './stats.mjs';

const VARIANT = 'node-http';
const BODY_MAX = 64 * 1024;
const DELAY_MAX_MS = 120_000;
const LINGER_MS = 2000;
const SEND_MS = 30_000;

const config = readConfig();
let isDraining = false;

// ---- replies ---------------------------------------------------------------------------------------------

const HELLO = Buffer.from('Hello, world!');
const TEXT = 'text/plain';

/** Date, Connection and the silence after HEAD are node:http's. `more`: further headers, as name, value, name, value. */
function reply(response, status, type, body, more) {
  const headers = ['Server', VARIANT, 'Content-Type', type, 'Content-Length', body.length];
  if (more) headers.push(...more);
  if (isDraining) headers.push('Connection', 'close');
  response.writeHead(status, headers);
  response.end(body);
}

function plain(request, response) {
  reply(response, 200, TEXT, HELLO);
}

function delay(request, response, query) {
  const text = new URLSearchParams(query).get('ms') ?? '';
  if (!/^\d{1,6}$/.test(text) || Number(text) > DELAY_MAX_MS) {
    reply(response, 400, TEXT, 'ms: expected 0 to 120000\n');
    return;
  }
  const timer = setTimeout(plain, Number(text), request, response);
  response.once('close', () => clearTimeout(timer)); // it was answered, or the client left
}

let held = new Set(); // responses that wait for /release

function hold(request, response) {
  held.add(response);
  counters.held += 1;
  response.once('close', () => {
    if (held.delete(response)) counters.held -= 1;
  });
}

function release(request, response) {
  const released = held;
  held = new Set();
  counters.held = 0;
  for (const one of released) plain(null, one);
  reply(response, 200, 'application/json', `{"released": ${released.size}}`);
}

function echo(request, response) {
  if (Number(request.headers['content-length']) > BODY_MAX) {
    refuse(request.socket, 413);
    return;
  }
  const parts = [];
  let length = 0;
  request.on('data', (part) => {
    length += part.length;
    if (length > BODY_MAX) refuse(request.socket, 413);
    else parts.push(part);
  });
  request.on('end', () => reply(response, 200, 'application/octet-stream', Buffer.concat(parts)));
}

/**
 * For what cannot go on. It passes node:http by, which would close at once: closing with unread input makes the kernel send
 * a reset that can overtake the reply. So whatever the client still sends is discarded for a while.
 */
function refuse(socket, status) {
  socket.removeAllListeners('data').removeAllListeners('end');
  socket.on('data', () => {}); // no longer the parser's
  socket.on('end', () => socket.destroy());
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nServer: ${VARIANT}\r\nDate: ${new Date().toUTCString()}\r\n`
    + 'Content-Length: 0\r\nConnection: close\r\n\r\n');
}

const ROUTES = {
  __proto__: null,
  '/plain': ['GET', plain],
  '/delay': ['GET', delay],
  '/hold': ['GET', hold],
  '/release': ['POST', release],
  '/echo': ['POST', echo],
  '/healthz': ['GET', (request, response) => {
    reply(response, 200, TEXT, 'ok\n', config.nonce && ['Lab-Nonce', config.nonce]);
  }],
  '/stats': ['GET', (request, response) => {
    reply(response, 200, 'application/json', renderStats(VARIANT, config.instance));
  }],
};

/** What node:http lets pass: HTTP/0.9, and a second Host, which it drops. */
function isDubious({ httpVersionMajor, rawHeaders }) {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i].length === 4 && rawHeaders[i].toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1 || httpVersionMajor !== 1;
}

function answer(request, response) {
  silent.delete(request.socket);
  if (isDubious(request)) {
    refuse(request.socket, 400);
    return;
  }
  counters.requests += 1;
  const { url, method } = request;
  const mark = url.indexOf('?');
  const route = ROUTES[mark < 0 ? url : url.slice(0, mark)];
  if (!route) reply(response, 404, TEXT, '');
  else if (method === route[0] || (method === 'HEAD' && route[0] === 'GET')) {
    route[1](request, response, mark < 0 ? '' : url.slice(mark + 1));
  } else reply(response, 405, TEXT, '', ['Allow', route[0] === 'GET' ? 'GET, HEAD' : 'POST']);
}

// ---- the loop is Node's; these are the server's settings ---------------------------------------------------

const server = createServer({
  maxHeaderSize: 16 * 1024, // more: 431
  headersTimeout: 10_000, // from accept or from the first byte; requestTimeout is the whole request's, head and body
  requestTimeout: 30_000,
  connectionsCheckingInterval: 500, // how often those two are looked at; 30 s unless told
  keepAliveTimeout: 0, // between two requests a client may stay silent for ever
  requireHostHeader: true,
  insecureHTTPParser: false,
  noDelay: true,
}, answer);

/** A request that node:http refused. */
server.on('clientError', (error, socket) => {
  if (error.syscall) countError(error); // ECONNRESET, EPIPE; the parser's complaints are no errors of the socket
  if (!socket.writable || error.syscall) {
    socket.destroy();
    return;
  }
  let status = { HPE_HEADER_OVERFLOW: 431, HPE_CHUNK_EXTENSIONS_OVERFLOW: 413, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code] ?? 400;
  // The same code for two framings in one request, which is malformed.
  if (error.code === 'HPE_INVALID_TRANSFER_ENCODING' && error.reason?.startsWith('Request has invalid')) status = 501;
  refuse(socket, status);
});

const sockets = new Set();
const silent = new Set(); // those that have not asked anything yet; node:http does not count them as idle

server.on('connection', (socket) => {
  counters.accepted += 1;
  counters.active += 1;
  sockets.add(socket);
  silent.add(socket);
  socket.once('close', () => {
    counters.active -= 1;
    sockets.delete(socket);
    silent.delete(socket);
  });
});

// node:http gives a client for ever to take its reply. Once a second: whoever has left some of it waiting for too long.
const unsentSince = new WeakMap(); // socket -> ms
setInterval(() => {
  const now = performance.now();
  for (const socket of sockets) {
    if (socket.writableLength === 0) unsentSince.delete(socket);
    else if (!unsentSince.has(socket)) unsentSince.set(socket, now);
    else if (now - unsentSince.get(socket) > SEND_MS) socket.destroy();
  }
}, 1000).unref();

server.on('error', (error) => {
  if (!server.listening) {
    console.error(`${VARIANT}: cannot listen on ${config.host}:${config.port}: ${error.message}`);
    process.exit(1);
  }
  countError(error); // of accept
});

server.listen({ host: config.host, port: config.port, backlog: config.backlog }, () => {
  console.error(`${VARIANT}: listening on ${config.host}:${config.port}, backlog ${config.backlog}`);
});

// ---- shutdown ----------------------------------------------------------------------------------------------

/** Takes in who is queued: libuv accepts a few per turn, so until two turns have brought nobody, nor a request of his. */
function takeInQueued(then, seen = -1, quietTurns = 0) {
  if (quietTurns === 2) then();
  else setImmediate(takeInQueued, then, counters.accepted, counters.accepted === seen ? quietTurns + 1 : 0);
}

function drain() {
  setTimeout(() => process.exit(0), config.drainMs); // whoever is left has had LAB_DRAIN_S
  takeInQueued(() => {
    isDraining = true; // from here on replies say Connection: close
    server.close(() => process.exit(0)); // closes idle connections, and calls back when the last one has ended
    for (const socket of silent) if (socket.bytesRead === 0) socket.destroy();
  });
}

process.once('SIGTERM', drain);
process.once('SIGINT', drain);
