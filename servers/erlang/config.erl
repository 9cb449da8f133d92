%% What the environment says, checked: a bad value ends the runtime with one line and exit code 2.
-module(config).
-export([read/0, stop_with/3]).
-include("config.hrl").

read() ->
    Host = os:getenv("LAB_HOST", "0.0.0.0"),
    Address = case inet:parse_ipv4strict_address(Host) of
        {ok, Parsed} -> Parsed;
        {error, _} -> refuse("LAB_HOST", Host, "an IPv4 address")
    end,
    #config{
        address = Address,
        port = read_int("LAB_PORT", 8080, 1, 65535),
        backlog = read_int("LAB_BACKLOG", 4096, 1, 1 bsl 20),
        drain_ms = read_seconds_as_ms("LAB_DRAIN_S", 5000),
        reuseport = read_int("LAB_REUSEPORT", 0, 0, 1) =:= 1,
        nonce = read_nonce(),
        instance = read_int("LAB_INSTANCE", null, 0, 9999)
    }.

%% One line on stderr, and the runtime ends at once.
stop_with(Code, Format, Arguments) ->
    io:format(standard_error, Format ++ "\n", Arguments),
    halt(Code).

refuse(Name, Value, Expected) ->
    stop_with(2, "~s: expected ~s, got '~ts'", [Name, Expected, Value]).

matches(Text, Form) -> re:run(Text, "\\A(?:" ++ Form ++ ")\\z", [{capture, none}]) =:= match.

read_int(Name, Fallback, Least, Most) ->
    case os:getenv(Name) of
        false -> Fallback;
        Text ->
            case matches(Text, "[0-9]{1,9}") andalso list_to_integer(Text) of
                Value when is_integer(Value), Value >= Least, Value =< Most -> Value;
                _ -> refuse(Name, Text, io_lib:format("a whole number from ~b to ~b", [Least, Most]))
            end
    end.

read_seconds_as_ms(Name, Fallback) ->
    case os:getenv(Name) of
        false -> Fallback;
        Text ->
            IsRight = matches(Text, "[0-9]{1,9}(\\.[0-9]{1,9})?"),
            case IsRight andalso to_float(Text) of
                Value when is_float(Value), Value =< 3600.0 -> round(Value * 1000);
                _ -> refuse(Name, Text, "seconds from 0 to 3600")
            end
    end.

to_float(Text) ->
    case lists:member($., Text) of
        true -> list_to_float(Text);
        false -> float(list_to_integer(Text))
    end.

read_nonce() ->
    case os:getenv("LAB_NONCE") of
        false -> null;
        Text ->   % nothing but hex digits: it goes into a header as it is
            matches(Text, "[0-9a-f]{16,64}") orelse refuse("LAB_NONCE", Text, "16 to 64 hex digits in lower case"),
            list_to_binary(Text)
    end.
