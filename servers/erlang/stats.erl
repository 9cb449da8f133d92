%% What GET /stats tells, and the date: all that connections share. Tables, so that no process has to be asked.
-module(stats).
-export([start/1, count_accepted/0, count_connection/1, forget_connection/1, connections/0, count_request/0, count_error/1,
         begin_draining/0, is_draining/0, stamp/0, hello/0, render/1]).
-include_lib("kernel/include/file.hrl").

-define(ACCEPTED, 1).
-define(REQUESTS, 2).
-define(DRAINING, 3).
-define(TICK, 4).

%% Name: the Server header.
start(Name) ->
    persistent_term:put(counters, counters:new(4, [atomics])),
    ets:new(connections, [named_table, public, {write_concurrency, true}]),
    ets:new(errors, [named_table, public]),
    ets:new(clock, [named_table, public, {read_concurrency, true}]),
    tick(Name),
    spawn_link(fun() -> clock(Name) end).

add(Index) -> counters:add(persistent_term:get(counters), Index, 1).
read(Index) -> counters:get(persistent_term:get(counters), Index).

count_accepted() -> add(?ACCEPTED).
count_request() -> add(?REQUESTS).
count_connection(Pid) -> ets:insert(connections, {Pid}).
forget_connection(Pid) -> ets:delete(connections, Pid).
connections() -> [Pid || {Pid} <- ets:tab2list(connections)].

begin_draining() -> add(?DRAINING).
is_draining() -> read(?DRAINING) > 0.

%% Reason: gen_tcp's atom, the errno's name in small letters.
count_error(Reason) ->
    Name = string:uppercase(atom_to_binary(Reason)),
    ets:update_counter(errors, Name, 1, {Name, 0}).

%% ---- Server and Date, rebuilt once a second: formatting a date costs more than the rest of a small reply ----

stamp() -> ets:lookup_element(clock, stamp, 2).

%% The whole reply to most requests. Each process keeps its own copy for a second: a table is slower than a counter.
hello() ->
    Tick = read(?TICK),
    case get(hello) of
        {Tick, Reply} -> Reply;
        _ ->
            Reply = ets:lookup_element(clock, hello, 2),
            put(hello, {Tick, Reply}),
            Reply
    end.

clock(Name) ->
    timer:sleep(1000 - os:system_time(millisecond) rem 1000),
    tick(Name),
    clock(Name).

tick(Name) ->
    {{Year, Month, Day} = Date, {Hour, Minute, Second}} = calendar:universal_time(),
    DayName = element(calendar:day_of_the_week(Date), {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}),
    MonthName = element(Month, {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}),
    Text = io_lib:format("Server: ~s\r\nDate: ~s, ~2..0b ~s ~4..0b ~2..0b:~2..0b:~2..0b GMT\r\n",
                         [Name, DayName, Day, MonthName, Year, Hour, Minute, Second]),
    Stamp = iolist_to_binary(Text),
    ets:insert(clock, [{stamp, Stamp}, {hello, iolist_to_binary(reply:hello(Stamp, <<>>))}]),
    add(?TICK).   % after the table, or a process could keep the old reply for a second more

%% ---- the numbers -----------------------------------------------------------------------------------------

%% Instance: LAB_INSTANCE or null.
render(Instance) ->
    {Collections, _, _} = statistics(garbage_collection),
    json:encode(#{
        variant => <<"erlang">>,
        instance => Instance,
        accepted => read(?ACCEPTED),
        active => ets:info(connections, size),
        held => gate:count(),
        requests => read(?REQUESTS),
        errors => maps:from_list(ets:tab2list(errors)),
        open_fds => count_descriptors(),
        threads => count_threads(),
        processes => erlang:system_info(process_count),
        run_queue => statistics(run_queue),   % ready to run, waiting for a scheduler
        gc_cycles => Collections              % of one process each: nothing ever stops them all
    }).

%% Both without a descriptor, so that they can be told at EMFILE too. null: cannot be counted.

count_descriptors() ->
    case file:read_file_info("/proc/self/fd", [raw]) of
        {ok, #file_info{size = Size}} when Size > 0 -> Size;   % the number of entries since Linux 6.2, before that 0
        {ok, _} ->
            case file:list_dir_all("/proc/self/fd") of
                {ok, Names} -> length(Names) - 1;   % without the one that reads the folder
                {error, _} -> null
            end;
        {error, _} -> null
    end.

count_threads() ->
    case file:read_file_info("/proc/self/task", [raw]) of
        {ok, #file_info{links = Links}} -> Links - 2;   % "." and ".."
        {error, _} -> null
    end.
