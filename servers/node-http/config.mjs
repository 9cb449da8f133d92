// What the environment says, checked: a bad value ends the process with one line and exit code 2.

import { isIPv4 } from 'node:net';

function refuse(name, expected) {
  console.error(`${name}: expected ${expected}, got '${process.env[name]}'`);
  process.exit(2);
}

function readNumber(name, fallback, least, most, form = /^\d{1,9}$/) {
  const text = process.env[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!form.test(text) || value < least || value > most) refuse(name, `a number from ${least} to ${most}`);
  return value;
}

export function readConfig() {
  const host = process.env.LAB_HOST ?? '0.0.0.0';
  if (!isIPv4(host)) refuse('LAB_HOST', 'an IPv4 address');
  const nonce = process.env.LAB_NONCE;
  // Nothing but hex digits: it goes into a header as it is.
  if (nonce !== undefined && !/^[0-9a-f]{16,64}$/.test(nonce)) refuse('LAB_NONCE', '16 to 64 hex digits in lower case');
  if (readNumber('LAB_REUSEPORT', 0, 0, 1) === 1) refuse('LAB_REUSEPORT', '0: Node 20 cannot set SO_REUSEPORT');
  return {
    host,
    port: readNumber('LAB_PORT', 8080, 1, 65535),
    backlog: readNumber('LAB_BACKLOG', 4096, 1, 1 << 20),
    drainMs: 1000 * readNumber('LAB_DRAIN_S', 5, 0, 3600, /^\d{1,9}(\.\d{1,9})?$/),
    nonce,
    instance: readNumber('LAB_INSTANCE', null, 0, 9999),
  };
}
