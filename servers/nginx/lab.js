/* What nginx has no directive for: waiting, echoing and counting, in its own JavaScript (njs).
 *
 * Every request has a JavaScript world of its own, so who waits in /hold is known only by a dictionary that all workers
 * share, and looks there again and again.
 */
import fs from 'fs';

const HELLO = 'Hello, world!';
const DELAY_MOST_MS = 120000;

/* How long a waiting request sleeps between two looks: 50 ms when there are few, a second for 10,000, so that looking costs
 * about the same whatever their number. */
const LOOK_LEAST_MS = 50, LOOK_MOST_MS = 1000, HOLDS_PER_MS = 10;

function sleep(ms) {
    return new Promise(resolve => setTimeout(resolve, ms));
}

async function delay(r) {
    const text = Array.isArray(r.args.ms) ? r.args.ms[0] : r.args.ms;
    if (!/^[0-9]{1,6}$/.test(text || '') || Number(text) > DELAY_MOST_MS) {
        r.return(400);
        return;
    }
    await sleep(Number(text));
    r.return(200, HELLO);
}

/* Releases are numbered; who waits is counted under the number of the release it waits for. */
function held_key(release) {
    return `held-${release}`;
}

function release_number() {
    return ngx.shared.holds.get('release') || 0;
}

async function hold(r) {
    const release = release_number();
    ngx.shared.holds.incr(held_key(release), 1, 0);
    while (release_number() === release) {
        const held = ngx.shared.holds.get(held_key(release)) || 0;
        await sleep(Math.min(LOOK_MOST_MS, LOOK_LEAST_MS + held / HOLDS_PER_MS));
    }
    ngx.shared.holds.delete(held_key(release)); /* one that came in the very moment of the release made it anew */
    r.return(200, HELLO);
}

function release(r) {
    const before = ngx.shared.holds.incr('release', 1, 0) - 1;
    const released = ngx.shared.holds.pop(held_key(before)) || 0;
    send_json(r, {released});
}

function echo(r) {
    r.headersOut['Content-Type'] = 'application/octet-stream';
    r.return(200, r.requestBuffer || '');
}

/* The workers are the master's children; each may look at the others' descriptors, because all are the same user. */
function count_descriptors() {
    try {
        const workers = fs.readFileSync(`/proc/${process.ppid}/task/${process.ppid}/children`, 'utf8').trim().split(' ');
        return workers.reduce((sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0);
    } catch (error) {
        return null;
    }
}

function count_threads() {
    try {
        return fs.readFileSync(`/proc/${process.ppid}/task/${process.ppid}/children`, 'utf8').trim().split(' ').length;
    } catch (error) {
        return null;
    }
}

async function stats(r) {
    const status = await r.subrequest('/status'); /* Active connections: A ... accepted handled requests ... */
    const numbers = status.responseText.match(/[0-9]+/g).map(Number);
    send_json(r, {
        variant: 'nginx',
        accepted: numbers[1],
        active: numbers[0],
        held: ngx.shared.holds.get(held_key(release_number())) || 0,
        requests: numbers[3], /* malformed ones too: it counts whatever begins */
        errors: null, /* nginx writes them to its log and counts none */
        instance: r.variables.instance === 'null' ? null : Number(r.variables.instance),
        open_fds: count_descriptors(),
        threads: count_threads(),
    });
}

function send_json(r, value) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(value));
}

export default {delay, hold, release, echo, stats};
