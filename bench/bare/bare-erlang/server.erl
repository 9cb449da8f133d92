%% bare-erlang: what a model costs when nothing else is done; BARE_MODEL says which. Every request gets the contract's answer to
%% GET /plain, whatever it asked: no parser, no limits of time, no counters, no drain.
-module(server).
-export([main/0]).

main() ->
    spawn(fun run/0).

run() ->
    {ok, Address} = inet:parse_ipv4strict_address(os:getenv("LAB_HOST", "0.0.0.0")),
    Port = list_to_integer(os:getenv("LAB_PORT", "8080")),
    Backlog = list_to_integer(os:getenv("LAB_BACKLOG", "4096")),
    Talk = case os:getenv("BARE_MODEL", "") of
        "active" -> fun(Socket) -> ok = inet:setopts(Socket, [{active, 32767}]), talk_active(Socket) end;
        "passive" -> fun talk_passive/1;
        Model ->
            io:format(standard_error, "BARE_MODEL: expected active or passive, got '~s'~n", [Model]),
            halt(2)
    end,
    renew(),
    {ok, Listener} = gen_tcp:listen(Port, [binary, {packet, raw}, {active, false}, {ip, Address}, {reuseaddr, true},
                                           {backlog, Backlog}, {nodelay, true}]),
    io:format(standard_error, "bare-erlang: listening on ~s:~b, backlog ~b~n", [inet:ntoa(Address), Port, Backlog]),
    spawn_link(fun() -> accept(Listener, Talk) end),
    renew_for_ever().

accept(Listener, Talk) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    spawn(fun() -> accept(Listener, Talk) end),
    Talk(Socket).

%% What is read comes as a message.
talk_active(Socket) ->
    receive
        {tcp, Socket, Data} -> answer(Socket, Data), talk_active(Socket);
        {tcp_passive, Socket} -> ok = inet:setopts(Socket, [{active, 32767}]), talk_active(Socket);
        {tcp_closed, Socket} -> ok;
        {tcp_error, Socket, _} -> ok
    end.

%% Each piece is asked for.
talk_passive(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Data} -> answer(Socket, Data), talk_passive(Socket);
        {error, _} -> ok
    end.

answer(Socket, Data) ->
    Before = byte_size(Data) - 4,
    case Data of
        <<_:Before/binary, "\r\n\r\n">> -> gen_tcp:send(Socket, persistent_term:get(hello));
        _ -> ok
    end.

%% A changed persistent term is collected from every process, once a second; reading one costs nothing.
renew() ->
    {{Year, Month, Day} = Date, {Hour, Minute, Second}} = calendar:universal_time(),
    DayName = element(calendar:day_of_the_week(Date), {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}),
    MonthName = element(Month, {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}),
    Text = io_lib:format("HTTP/1.1 200 OK\r\nServer: bare-erlang\r\nDate: ~s, ~2..0b ~s ~4..0b ~2..0b:~2..0b:~2..0b GMT\r\n"
                         "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!",
                         [DayName, Day, MonthName, Year, Hour, Minute, Second]),
    persistent_term:put(hello, iolist_to_binary(Text)).

renew_for_ever() ->
    timer:sleep(1000),
    renew(),
    renew_for_ever().
