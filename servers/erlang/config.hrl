-record(config, {
    address :: inet:ip4_address(),
    port :: 1..65535,
    backlog :: pos_integer(),
    drain_ms :: non_neg_integer(),      % how long those in flight have after SIGTERM
    reuseport :: boolean(),
    nonce :: binary() | null,           % which run started this server
    instance :: 0..9999 | null          % its number among those that share the port
}).
