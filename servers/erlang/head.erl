%% The head of a request: from its bytes to a #request{}, or throw({refused, Status}). No I/O.
-module(head).
-export([parse/1, take_field/1, text_length/2]).
-include("http1.hrl").

-define(BODY_MAX, 65536).
-define(DELAY_MAX_MS, 120000).

-define(IS_DIGIT(C), C >= $0, C =< $9).
-define(IS_SPACE(C), C =:= $\s orelse C =:= $\t).

%% Head: lines with their CR LF, without the empty one.
parse(Head) ->
    {R0, Fields} = parse_request_line(Head),
    R = parse_fields(Fields, R0, none, []),
    if
        R#request.is_chunked, R#request.is_http_1_0 -> throw({refused, 400});
        R#request.length > ?BODY_MAX -> throw({refused, 413});
        true -> R
    end.

%% Returns the request and the lines behind its first.
parse_request_line(Head) ->
    MethodLen = token_length(Head, 0),
    case Head of
        <<Method:MethodLen/binary, " ", AfterMethod/binary>> when MethodLen > 0 ->
            TargetLen = visible_length(AfterMethod, 0),
            case AfterMethod of
                <<Target:TargetLen/binary, " HTTP/1.1\r\n", Fields/binary>> when TargetLen > 0 ->
                    {choose_route(Method, path(Target), #request{length = none, is_head = Method =:= <<"HEAD">>}), Fields};
                <<Target:TargetLen/binary, " HTTP/1.0\r\n", Fields/binary>> when TargetLen > 0 ->
                    R = #request{length = none, is_head = Method =:= <<"HEAD">>, is_http_1_0 = true},
                    {choose_route(Method, path(Target), R), Fields};
                <<_:TargetLen/binary, " HTTP/", A, ".", B, "\r\n", _/binary>> when TargetLen > 0, ?IS_DIGIT(A), ?IS_DIGIT(B) ->
                    throw({refused, 505});
                _ ->
                    throw({refused, 400})
            end;
        _ ->
            throw({refused, 400})
    end.

%% The absolute form: only its path matters here.
path(<<"/", _/binary>> = Target) -> Target;
path(<<Scheme:7/binary, Rest/binary>> = Target) ->
    case lower(Scheme) of
        <<"http://">> -> element(2, split_at(Rest, <<"/">>, <<"/">>));
        _ -> Target
    end;
path(Target) -> Target.

%% Splits at the first Mark; what follows begins with Keep.
split_at(Text, Mark, Keep) ->
    case binary:split(Text, Mark) of
        [Before, After] -> {Before, <<Keep/binary, After/binary>>};
        [Before] -> {Before, <<>>}
    end.

choose_route(Method, <<"/plain">>, R) -> R#request{route = only_get(Method, plain)};
choose_route(Method, Target, R) ->
    {Path, Query} = split_at(Target, <<"?">>, <<>>),
    case Path of
        <<"/plain">> -> R#request{route = only_get(Method, plain)};
        <<"/delay">> ->
            case {only_get(Method, delay), read_delay_ms(binary:split(Query, <<"&">>, [global]))} of
                {delay, none} -> R#request{route = bad_delay};
                {Route, none} -> R#request{route = Route};
                {Route, Ms} -> R#request{route = Route, delay_ms = Ms}
            end;
        <<"/hold">> -> R#request{route = only_get(Method, hold)};
        <<"/healthz">> -> R#request{route = only_get(Method, healthz)};
        <<"/stats">> -> R#request{route = only_get(Method, stats)};
        <<"/release">> -> R#request{route = only_post(Method, release)};
        <<"/echo">> -> R#request{route = only_post(Method, echo)};
        _ -> R#request{route = not_found}
    end.

only_get(<<"GET">>, Route) -> Route;
only_get(<<"HEAD">>, Route) -> Route;
only_get(_, _) -> {not_allowed, <<"GET, HEAD">>}.

only_post(<<"POST">>, Route) -> Route;
only_post(_, _) -> {not_allowed, <<"POST">>}.

%% ms=N among the query's pairs; the first one counts.
read_delay_ms([<<"ms=", Digits/binary>> | _]) ->
    case read_number(Digits, 6) of
        Ms when is_integer(Ms), Ms =< ?DELAY_MAX_MS -> Ms;
        _ -> none
    end;
read_delay_ms([_ | Rest]) -> read_delay_ms(Rest);
read_delay_ms([]) -> none.

%% ---- fields --------------------------------------------------------------------------------------------

%% Host: none or one. Options: what Connection said.
parse_fields(<<>>, R, Host, Options) ->
    Host =:= one orelse R#request.is_http_1_0 orelse throw({refused, 400}),
    SaysClose = lists:member(<<"close">>, Options),
    SaysKeep = lists:member(<<"keep-alive">>, Options),
    Length = case R#request.length of
        none -> 0;
        _ when R#request.is_chunked -> throw({refused, 400});   % two framings: the classic way to smuggle a request
        N -> N
    end,
    R#request{length = Length, keep_alive = not SaysClose andalso (not R#request.is_http_1_0 orelse SaysKeep)};
parse_fields(Text, R, Host, Options) ->
    {Name, Value, Lines} = take_field(Text),
    case Name of
        <<"host">> when Host =:= one -> throw({refused, 400});
        <<"host">> -> parse_fields(Lines, R, one, Options);
        <<"connection">> ->
            More = [lower(trim(Option)) || Option <- binary:split(Value, <<",">>, [global])],
            parse_fields(Lines, R, Host, More ++ Options);
        <<"content-length">> ->
            case read_number(Value, 18) of   % 18 digits are beyond every honest length
                Length when is_integer(Length), (R#request.length =:= none orelse R#request.length =:= Length) ->
                    parse_fields(Lines, R#request{length = Length}, Host, Options);
                _ -> throw({refused, 400})
            end;
        <<"transfer-encoding">> ->
            R#request.is_chunked andalso throw({refused, 400}),
            lower(Value) =:= <<"chunked">> orelse throw({refused, 501}),
            parse_fields(Lines, R#request{is_chunked = true}, Host, Options);
        <<"expect">> ->   % RFC 9110, 10.1.1: not in HTTP/1.0
            Expects = not R#request.is_http_1_0 andalso lower(Value) =:= <<"100-continue">>,
            parse_fields(Lines, R#request{expects_continue = Expects}, Host, Options);
        _ ->
            parse_fields(Lines, R, Host, Options)
    end.

%% One line off the front: the name, in lower case where it may matter to us, the value without spaces around it, the rest.
take_field(Text) ->
    NameLen = token_length(Text, 0),
    case Text of
        <<Name:NameLen/binary, ":", AfterName/binary>> when NameLen > 0 ->
            ValueLen = text_length(AfterName, 0),
            case AfterName of
                <<Value:ValueLen/binary, "\r\n", Rest/binary>>
                  when NameLen =:= 4; NameLen =:= 6; NameLen =:= 10; NameLen =:= 14; NameLen =:= 17 ->
                    {lower(Name), trim(Value), Rest};
                <<Value:ValueLen/binary, "\r\n", Rest/binary>> ->   % its length tells that it matters to nobody here
                    {Name, Value, Rest};
                _ ->   % a control, or a CR alone
                    throw({refused, 400})
            end;
        _ ->   % no name, a folded line, a space before the colon
            throw({refused, 400})
    end.

%% ---- bytes ---------------------------------------------------------------------------------------------

%% tchar of RFC 9110, 5.6.2. In guards, because this looks at every byte of a name.
token_length(<<C, Rest/binary>>, Len) when C >= $a, C =< $z; C >= $A, C =< $Z; C =:= $-; C >= $0, C =< $9 ->
    token_length(Rest, Len + 1);
token_length(<<C, Rest/binary>>, Len) when C =:= $!; C >= $#, C =< $'; C =:= $*; C =:= $+; C =:= $.; C =:= $^; C =:= $_;
                                           C =:= $`; C =:= $|; C =:= $~ ->
    token_length(Rest, Len + 1);
token_length(_, Len) -> Len.

visible_length(<<C, Rest/binary>>, Len) when C > $\s, C < 127 -> visible_length(Rest, Len + 1);
visible_length(_, Len) -> Len.

%% Up to the first control but the tab; a CR and NUL are among those.
text_length(<<C, Rest/binary>>, Len) when C >= $\s, C =/= 127; C =:= $\t -> text_length(Rest, Len + 1);
text_length(_, Len) -> Len.

read_number(Digits, Most) when byte_size(Digits) >= 1, byte_size(Digits) =< Most -> read_digits(Digits, 0);
read_number(_, _) -> none.

read_digits(<<C, Rest/binary>>, Value) when ?IS_DIGIT(C) -> read_digits(Rest, Value * 10 + C - $0);
read_digits(<<>>, Value) -> Value;
read_digits(_, _) -> none.

trim(<<C, Rest/binary>>) when ?IS_SPACE(C) -> trim(Rest);
trim(<<>>) -> <<>>;
trim(Text) ->
    Len = byte_size(Text) - 1,
    case Text of
        <<Front:Len/binary, C>> when ?IS_SPACE(C) -> trim(Front);
        _ -> Text
    end.

lower(<<"Host">>) -> <<"host">>;   % spares most requests the rest
lower(Text) -> << <<(lower_byte(C))>> || <<C>> <= Text >>.

lower_byte(C) when C >= $A, C =< $Z -> C + 32;
lower_byte(C) -> C.
