%% One client's conversation, in a process of its own: collect a request, answer or wait, write.
%%
%% The socket is {active, N}: the runtime puts up to N pieces of input into this process's mailbox, then stops reading until
%% it is asked for more. So one `receive` waits for input, for the client leaving, for /release, for the order to drain and
%% for a time limit, all at once; and a client that floods a process that waits is not read without end.
-module(connection).
-export([serve/1]).
-include("http1.hrl").

%% Starting to read anew takes the socket out of epoll and puts it back: with 64 that was a tenth of what a request costs. The
%% driver reads 1,460 bytes at a time, so a client that floods a process that waits fills 1.5 MB.
-define(ACTIVE_N, 1024).
-define(INPUT_MAX, 98304).   % the longest request and room for pipelined ones; beyond, a waiting client is not read
-define(OUTPUT_MAX, 65536).  % then what is ready is sent before more is made
-define(HEAD_MS, 10000).
-define(BODY_MS, 30000).
-define(LINGER_MS, 2000).
-define(DRAIN_READ_MS, 50).  % for a request that was on its way when the order to drain came

-record(client, {
    socket :: gen_tcp:socket(),
    input = <<>> :: binary(),
    is_paused = true :: boolean(),       % the socket is passive: nothing is read
    output = [] :: iodata(),              % made, not yet sent
    limit = head :: head | body | none,
    due = 0 :: integer(),                % when the limit ends, ms of the monotonic clock
    known = none :: none | {binary(), #request{}}   % the last input that was one request without a body, and what it said
}).

serve(Socket) ->
    stats:count_connection(self()),
    Client = #client{socket = Socket, due = now_ms() + ?HEAD_MS},
    try
        next(http1:new(), resume(Client))
    catch
        throw:left -> ok   % the client is gone, or was too slow
    after
        gen_tcp:close(Socket),
        stats:forget_connection(self())
    end.

%% ---- reading -------------------------------------------------------------------------------------------

next({head, 0} = State, #client{input = <<>>} = Client) ->   % between two requests
    next(State, receive_more(flush(Client)));
next({head, 0}, #client{input = Input, known = {Input, Request}} = Client) ->   % the same bytes say the same: most clients repeat
    stats:count_request(),
    answer(Request, Client#client{input = <<>>, limit = none});
next(State0, Client0) ->
    try http1:parse(State0, Client0#client.input) of
        {request, Request, Rest} ->
            stats:count_request(),
            answer(Request, learn(State0, Request, Rest, Client0#client{input = Rest, limit = none}, Client0#client.input));
        {continue, State, Rest} ->
            send_all(Client0, <<"HTTP/1.1 100 Continue\r\n\r\n">>),
            next(State, receive_more(limit(State, Client0#client{input = Rest})));
        {more, State, Rest} ->
            Client = flush(Client0#client{input = Rest}),
            next(State, receive_more(limit(State, Client)))
    catch
        throw:{refused, Status} ->
            flush(add(Client0, reply:refusal(Status))),
            linger(Client0)
    end.

%% Only what came whole and alone is worth knowing.
learn({head, 0}, #request{length = 0, is_chunked = false} = Request, <<>>, Client, Input) ->
    Client#client{known = {Input, Request}};
learn(_, _, _, Client, _) ->
    Client.

%% A limit is not moved by each byte: who sends slowly gains nothing.
limit(State, #client{limit = Old, input = Input} = Client) ->
    case http1:is_in_body(State) of
        true when Old =:= body -> Client;
        true -> Client#client{limit = body, due = now_ms() + ?BODY_MS};
        false when Old =:= head -> Client;
        false when Input =:= <<>> -> Client;   % between two requests a client may stay silent
        false -> Client#client{limit = head, due = now_ms() + ?HEAD_MS}
    end.

%% Blocks until there is more input.
receive_more(#client{socket = Socket, limit = Limit, input = Input} = Client0) ->
    IsIdle = Input =:= <<>> andalso Limit =/= body,
    Client = resume(Client0),
    Wait = case IsIdle andalso stats:is_draining() of
        true -> ?DRAIN_READ_MS;
        false when Limit =:= none -> infinity;
        false -> left_ms(Client#client.due)
    end,
    receive
        {tcp, Socket, Data} -> add_input(Client, Data);
        {tcp_passive, Socket} -> receive_more(Client#client{is_paused = true});
        {tcp_closed, Socket} -> throw(left);
        {tcp_error, Socket, Reason} -> stats:count_error(Reason), throw(left);
        drain -> receive_more(Client)
    after Wait ->
        throw(left)
    end.

add_input(#client{input = <<>>} = Client, Data) -> Client#client{input = Data};
add_input(#client{input = Input} = Client, Data) -> Client#client{input = <<Input/binary, Data/binary>>}.

resume(#client{is_paused = true, socket = Socket} = Client) ->
    case inet:setopts(Socket, [{active, ?ACTIVE_N}]) of
        ok -> Client#client{is_paused = false};
        {error, _} -> throw(left)
    end;
resume(Client) ->
    Client.

%% ---- answering -----------------------------------------------------------------------------------------

answer(#request{route = delay} = R, Client) ->
    finish(R, wait(flush(Client), now_ms() + R#request.delay_ms));
answer(#request{route = hold} = R, Client0) ->
    Client1 = flush(Client0),
    gate:enter(),
    Client = try
        wait(Client1, infinity)
    catch
        throw:left -> gate:leave(), throw(left)
    end,
    finish(R, Client);
answer(R, Client) ->
    finish(R, Client).

finish(R, Client0) ->
    KeepAlive = R#request.keep_alive andalso not stats:is_draining(),
    Reply = reply:whole(R, KeepAlive),
    case KeepAlive of
        true -> next(http1:new(), say(Reply, Client0));
        false ->
            flush(add(Client0, Reply)),
            Client0#client.input =:= <<>> orelse linger(Client0)
    end.

%% Until Due, or until /release. What the client sends meanwhile is kept for later.
wait(#client{socket = Socket} = Client0, Due) ->
    Client = case byte_size(Client0#client.input) =< ?INPUT_MAX of
        true -> resume(Client0);
        false -> Client0
    end,
    receive
        released -> Client;
        {tcp, Socket, Data} -> wait(add_input(Client, Data), Due);
        {tcp_passive, Socket} -> wait(Client#client{is_paused = true}, Due);
        {tcp_closed, Socket} -> throw(left);
        {tcp_error, Socket, Reason} -> stats:count_error(Reason), throw(left);
        drain -> wait(Client, Due)
    after left_ms(Due) ->
        Client
    end.

%% ---- writing -------------------------------------------------------------------------------------------

add(#client{output = []} = Client, Reply) -> Client#client{output = Reply};
add(#client{output = Output} = Client, Reply) -> Client#client{output = [Output, Reply]}.

say(Reply, #client{input = <<>>, output = []} = Client) ->
    send_all(Client, Reply),
    Client;
say(Reply, Client0) ->   % more requests are here already, or were: their replies go along
    #client{input = Input, output = Output} = Client = add(Client0, Reply),
    case Input =:= <<>> orelse iolist_size(Output) > ?OUTPUT_MAX of
        true -> flush(Client);
        false -> Client
    end.

flush(#client{output = []} = Client) -> Client;
flush(#client{output = Output} = Client) ->
    send_all(Client, Output),
    Client#client{output = []}.

%% Blocks while the client does not read; after 30 s (send_timeout, server.erl) it is given up.
send_all(#client{socket = Socket}, Bytes) ->
    case gen_tcp:send(Socket, Bytes) of
        ok -> ok;
        {error, timeout} -> throw(left);
        {error, closed} -> throw(left);   % why is told by tcp_error, if it was an error
        {error, Reason} -> stats:count_error(Reason), throw(left)
    end.

%% Closing with unread input would make the kernel send a reset that can overtake the reply.
linger(#client{socket = Socket} = Client) ->
    _ = gen_tcp:shutdown(Socket, write),   % best effort
    discard(Client, now_ms() + ?LINGER_MS).

discard(#client{socket = Socket} = Client0, Due) ->
    Client = resume(Client0),
    receive
        {tcp, Socket, _} -> discard(Client, Due);
        {tcp_passive, Socket} -> discard(Client#client{is_paused = true}, Due);
        {tcp_closed, Socket} -> ok;
        {tcp_error, Socket, Reason} -> stats:count_error(Reason)
    after left_ms(Due) ->
        ok
    end.

now_ms() -> erlang:monotonic_time(millisecond).

left_ms(infinity) -> infinity;
left_ms(Due) -> max(0, Due - now_ms()).
