%% One whole request, ready to be answered.
-record(request, {
    route :: plain | delay | hold | release | echo | healthz | stats | not_found | {not_allowed, binary()} | bad_delay,
    is_head = false :: boolean(),
    is_http_1_0 = false :: boolean(),
    keep_alive = true :: boolean(),
    delay_ms = 0 :: 0..120000,
    length = 0 :: non_neg_integer() | none,   % none: while no Content-Length was seen
    is_chunked = false :: boolean(),
    expects_continue = false :: boolean(),
    body = <<>> :: binary()
}).
