%% erlang: a process per connection, and processes are what this runtime is made of.
%%
%% A process has its own heap, its own mailbox and its own garbage collection, starts in a microsecond and takes some 3 KB.
%% Each connection is one (connection.erl) and is written as a conversation. A process that waits in `receive` costs
%% nothing; beneath, the runtime keeps all sockets in an epoll instance (kernel poll, on by itself since OTP 21) and turns what
%% is read into messages. Schedulers, one per CPU the container may use, run the processes in turns of some 4,000
%% function calls, so that none can starve the others, which an event loop cannot promise.
%%
%% Processes share nothing: who is connected, the counters and the date are in tables (stats.erl), who waits in /hold is known
%% to a process of its own (gate.erl).
%%
%% Needs: Linux 2.6.28, OTP 27. Leaves out: TLS, SIGINT (the runtime keeps it for itself: variant.toml).
%% By hand: see README.md; then curl -i 'http://127.0.0.1:8080/delay?ms=500'
-module(server).
-behaviour(gen_event).   % of the operating system's signals
-export([main/0]).
-export([init/1, handle_event/2, handle_call/2]).
-include("config.hrl").

-define(ACCEPT_BACKOFF_MS, 100).   % after EMFILE: long enough not to spin, short beside a client's patience
-define(SEND_MS, 30000).           % a client that does not read has this long to take a reply
-define(HEAP_WORDS, 610).          % 5 KB instead of 2: a request fills 1 KB, so garbage is collected a third as often
%% The runtime reads a module from its file at the first call, and at EMFILE no file can be opened. So all that serving needs is
%% loaded at the start.
-define(MODULES, [connection, http1, head, reply, stats, gate, json, string, unicode_util, timer, calendar]).

%% Called by the runtime when it has started; the server then lives in a process of its own.
main() ->
    spawn(fun run/0).

run() ->
    Config = config:read(),
    ok = code:ensure_modules_loaded(?MODULES),
    stats:start("erlang"),
    reply:start(Config#config.nonce, Config#config.instance),
    gate:start(),
    ok = gen_event:swap_handler(erl_signal_server, {erl_signal_handler, []}, {?MODULE, self()}),
    Listener = listen(Config),
    spawn_link(fun() -> accept(Listener) end),
    receive
        stop -> drain(Listener, Config#config.drain_ms)
    end.

%% ---- the socket ------------------------------------------------------------------------------------------

listen(#config{address = Address, port = Port, backlog = Backlog} = Config) ->
    Options = [
        binary, {packet, raw}, {active, false}, {ip, Address}, {reuseaddr, true}, {reuseport, Config#config.reuseport},
        {backlog, Backlog},           % to listen(2) as it is; the kernel cuts it to net.core.somaxconn in silence
        {nodelay, true},              % accepted sockets inherit all of these
        {exit_on_close, false},       % the end of input is not the end: a reply may still be on its way
        {show_econnreset, true},      % a reset is told apart from an orderly end
        {send_timeout, ?SEND_MS}, {send_timeout_close, true}
    ],
    Host = inet:ntoa(Address),
    case gen_tcp:listen(Port, Options) of
        {ok, Listener} ->
            io:format(standard_error, "erlang: listening on ~s:~b, backlog ~b~n", [Host, Port, Backlog]),
            Listener;
        {error, Reason} ->
            config:stop_with(1, "erlang: cannot listen on ~s:~b: ~s", [Host, Port, inet:format_error(Reason)])
    end.

%% ---- accepting -------------------------------------------------------------------------------------------

%% A process waits for a client, leaves the listener to a successor and serves: the socket is its own from the start and need
%% not be handed over.
accept(Listener) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            spawn_opt(fun() -> accept(Listener) end, [{min_heap_size, ?HEAP_WORDS}]),
            stats:count_accepted(),
            connection:serve(Socket);
        {error, closed} ->
            ok;   % draining
        {error, Reason} ->   % emfile, enfile, enobufs, enomem: asking at once would spin
            stats:count_error(Reason),
            timer:sleep(?ACCEPT_BACKOFF_MS),
            accept(Listener)
    end.

%% ---- shutdown --------------------------------------------------------------------------------------------

%% In the process that gets the operating system's signals.
init({Server, _}) -> {ok, Server}.

handle_event(sigterm, Server) ->
    Server ! stop,
    {ok, Server};
handle_event(_, Server) ->
    {ok, Server}.

handle_call(_, Server) -> {ok, ok, Server}.

%% Takes in who is queued, closes the listener and every idle connection. The rest may finish.
drain(Listener, DrainMs) ->
    erlang:send_after(DrainMs, self(), time_is_up),
    take_in_queued(Listener),
    gen_tcp:close(Listener),
    stats:begin_draining(),
    Monitors = [monitor(process, Pid) || Pid <- stats:connections()],
    _ = [Pid ! drain || Pid <- stats:connections()],
    await(length(Monitors)),
    halt(0, [{flush, false}]).   % whoever is left has had LAB_DRAIN_S

%% Closing the listener would reset them. Whoever accepts queues up behind the process that waits already, so when nobody
%% has come to this one for a moment, nobody is left.
take_in_queued(Listener) ->
    case gen_tcp:accept(Listener, 20) of
        {ok, Socket} ->
            stats:count_accepted(),
            Pid = spawn(fun() -> receive go -> connection:serve(Socket) end end),
            ok = gen_tcp:controlling_process(Socket, Pid),
            Pid ! go,
            take_in_queued(Listener);
        {error, _} ->
            ok
    end.

await(0) -> ok;
await(Count) ->
    receive
        {'DOWN', _, process, _, _} -> await(Count - 1);
        time_is_up -> ok
    end.
