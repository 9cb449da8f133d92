%% Who waits in /hold: a process that keeps their ids and wakes them.
-module(gate).
-export([start/0, enter/0, leave/0, release/0, count/0]).

start() -> register(gate, spawn_link(fun() -> loop(#{}) end)).

%% Called by the process that is about to wait for the message `released`.
enter() -> gate ! {enter, self()}.

leave() -> gate ! {leave, self()}.

%% Returns how many were waiting.
release() -> ask(release).

count() -> ask(count).

ask(Question) ->
    Tag = monitor(process, gate),
    gate ! {Question, self(), Tag},
    receive
        {Tag, Answer} -> demonitor(Tag, [flush]), Answer;
        {'DOWN', Tag, process, _, Reason} -> exit({gate, Reason})
    end.

loop(Waiting) ->
    receive
        {enter, Pid} ->
            loop(Waiting#{Pid => true});
        {leave, Pid} ->
            loop(maps:remove(Pid, Waiting));
        {count, From, Tag} ->
            From ! {Tag, map_size(Waiting)},
            loop(Waiting);
        {release, From, Tag} ->
            From ! {Tag, map_size(Waiting)},
            _ = [Pid ! released || Pid <- maps:keys(Waiting)],
            loop(#{})
    end.
