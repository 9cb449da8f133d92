-- What wrk measured, as one line of JSON on the last line of its output.
-- Rounded nowhere: durations and latencies are whole microseconds (wrk's SCRIPTING).
function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "wrong": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
