#!/usr/bin/node
// bare-node: what a model costs when nothing else is done; BARE_MODEL says which. Every request gets the contract's answer to
// GET /plain, whatever it asked: no parser (but node:http's, where that is the model), no limits of time, no counters, no drain.

import { createServer as createHttp } from 'node:http';
import { createServer as createNet } from 'node:net';

const BODY = Buffer.from('Hello, world!');
let hello = '';

function renew() {
  hello = Buffer.from(`HTTP/1.1 200 OK\r\nServer: bare-node\r\nDate: ${new Date().toUTCString()}\r\n`
    + 'Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!');
}

/** The least a handler of node:http can do; Date is its own. */
function http() {
  const headers = ['Server', 'bare-node', 'Content-Type', 'text/plain', 'Content-Length', '13'];
  return createHttp({ keepAliveTimeout: 0 }, (request, response) => {
    response.writeHead(200, headers);
    response.end(BODY);
  });
}

/** node:net alone. */
function net() {
  return createNet({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const { length } = data;
      if (length >= 4 && data[length - 1] === 10 && data[length - 3] === 10) socket.write(hello);
    });
  });
}

const make = { http, net }[process.env.BARE_MODEL];
if (!make) {
  console.error(`BARE_MODEL: expected http or net, got '${process.env.BARE_MODEL}'`);
  process.exit(2);
}
renew();
setInterval(renew, 1000);
const host = process.env.LAB_HOST ?? '0.0.0.0';
const port = Number(process.env.LAB_PORT ?? 8080);
const backlog = Number(process.env.LAB_BACKLOG ?? 4096);
make().listen({ host, port, backlog }, () => {
  console.error(`bare-node: listening on ${host}:${port}, backlog ${backlog}`);
});
