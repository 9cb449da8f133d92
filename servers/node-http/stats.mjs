// What GET /stats tells.

import { readdirSync, statSync } from 'node:fs';
import { PerformanceObserver, monitorEventLoopDelay } from 'node:perf_hooks';

const TICK_MS = 20; // how often the loop's lateness is sampled: a fiftieth of a percent of one core
const LOOK_MS = 1000;

export const counters = { accepted: 0, active: 0, held: 0, requests: 0 };
const errors = {}; // errno name -> count

export function countError(error) {
  const name = error?.code ?? String(error);
  errors[name] = (errors[name] ?? 0) + 1;
}

// How late the loop is: the worst tick of the last second. The histogram holds intervals, each TICK_MS when nothing is late.
let lagS = 0;
const ticks = monitorEventLoopDelay({ resolution: TICK_MS });
ticks.enable();
setInterval(() => {
  if (ticks.count > 0) lagS = Math.max(0, ticks.max / 1e9 - TICK_MS / 1000);
  ticks.reset();
}, LOOK_MS).unref();

let gcCycles = 0;
let gcPauseMs = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    gcCycles += 1;
    gcPauseMs += entry.duration;
  }
}).observe({ entryTypes: ['gc'] });

// Both without a descriptor, so that they can be told at EMFILE too. null: cannot be counted.

function countDescriptors() {
  try {
    const { size } = statSync('/proc/self/fd'); // the number of entries since Linux 6.2, before that 0
    return size > 0 ? size : readdirSync('/proc/self/fd').length - 1; // without the one that reads the folder
  } catch {
    return null;
  }
}

function countThreads() {
  try {
    return statSync('/proc/self/task').nlink - 2; // "." and ".."
  } catch {
    return null;
  }
}

export function renderStats(variant, instance) {
  return JSON.stringify({
    variant,
    instance,
    ...counters,
    errors,
    open_fds: countDescriptors(),
    threads: countThreads(),
    loop_lag_s: Number(lagS.toFixed(6)),
    gc_cycles: gcCycles,
    gc_pause_s: Number((gcPauseMs / 1000).toFixed(6)),
  });
}
