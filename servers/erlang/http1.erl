%% From bytes to whole requests (RFC 9112), step by step: where a head ends (what it says: head.erl), then the body. No I/O.
%%
%% Input may arrive in any pieces: what has been searched is not searched again. Bodies are handed out whole, so they are
%% limited to 64 KiB. What could be read in two ways is refused with throw({refused, Status}), not guessed. Not
%% erlang:decode_packet(http): that takes bare line feeds, folded lines and spaces before a colon.
-module(http1).
-export([new/0, parse/2, is_in_body/1]).
-include("http1.hrl").

-define(HEAD_MAX, 16384).
-define(BODY_MAX, 65536).
-define(CHUNK_LINE_MAX, 256).   % a size and its extensions; nobody sends longer ones in good faith

-define(IS_DIGIT(C), C >= $0, C =< $9).

%% The state is what the next bytes belong to:
%%   {head, Scanned}                        a head, searched up to there
%%   {length, Request}                      a body of known length
%%   {chunks, Request, Stage, Body, Size}   a chunked one; Body: what is decoded, Size: its bytes
new() -> {head, 0}.

is_in_body({head, _}) -> false;
is_in_body(_) -> true.

%% Returns {request, Request, Rest}, {more, State, Input}, or {continue, State, Input} when the client waits to be told to go on.
parse({head, Scanned}, Input) ->
    case find_end(Input, Scanned) of
        {more, Size} when Size > ?HEAD_MAX -> throw({refused, 431});
        {more, Size} -> {more, {head, Size}, Input};
        2 -> <<_:2/binary, Rest/binary>> = Input, parse({head, 0}, Rest);   % an empty line before a request is skipped
        Len when Len > ?HEAD_MAX -> throw({refused, 431});
        Len ->
            <<Head:(Len - 2)/binary, _:2/binary, Rest/binary>> = Input,
            begin_body(head:parse(Head), Rest)
    end;
parse({length, #request{length = Length} = R} = State, Input) ->
    case Input of
        <<Body:Length/binary, Rest/binary>> -> {request, R#request{body = Body}, Rest};
        _ -> {more, State, Input}
    end;
parse({chunks, R, Stage, Body, Size}, Input) ->
    decode(Stage, Input, R, Body, Size).

begin_body(#request{length = 0, is_chunked = false} = R, Rest) ->
    {request, R, Rest};
begin_body(R, Rest) ->
    State = case R#request.is_chunked of
        true -> {chunks, R, size, [], 0};
        false -> {length, R}
    end,
    case Rest of
        <<>> when R#request.expects_continue -> {continue, State, Rest};
        _ -> parse(State, Rest)
    end.

%% Byte by byte, because most heads are short: a bare line feed is refused as soon as it arrives, and what was scanned is not
%% scanned again. Returns the head's length.
find_end(Input, Scanned) when Scanned > 3 ->
    From = Scanned - 3,   % the end may have begun there
    case Input of
        <<_:From/binary, "\n", Rest/binary>> -> scan(Rest, From + 1);   % the CR before it was seen last time
        <<_:From/binary, Rest/binary>> -> scan(Rest, From)
    end;
find_end(Input, _) ->
    scan(Input, 0).

scan(<<C, Rest/binary>>, At) when C > $\r -> scan(Rest, At + 1);   % nearly all
scan(<<"\r\n", _/binary>>, 0) -> 2;
scan(<<"\r\n\r\n", _/binary>>, At) -> At + 4;
scan(<<"\r\n", Rest/binary>>, At) -> scan(Rest, At + 2);
scan(<<"\n", _/binary>>, _) -> throw({refused, 400});
scan(<<_, Rest/binary>>, At) -> scan(Rest, At + 1);
scan(<<>>, At) -> {more, At}.

%% ---- chunks --------------------------------------------------------------------------------------------

%% Stage: size, {data, Left}, data_end, {trailer, Bytes}.
decode({data, Left}, Input, R, Body, Size) ->
    case Input of
        <<Chunk:Left/binary, Rest/binary>> -> decode(data_end, Rest, R, [Body, Chunk], Size + Left);
        _ -> {more, {chunks, R, {data, Left - byte_size(Input)}, [Body, Input], Size + byte_size(Input)}, <<>>}
    end;
decode(data_end, Input, R, Body, Size) ->
    case Input of
        <<"\r\n", Rest/binary>> -> decode(size, Rest, R, Body, Size);
        <<"\r">> -> {more, {chunks, R, data_end, Body, Size}, Input};
        <<>> -> {more, {chunks, R, data_end, Body, Size}, Input};
        _ -> throw({refused, 400})
    end;
decode(size, Input, R, Body, Size) ->
    case take_line(Input, ?CHUNK_LINE_MAX, 400) of
        more -> {more, {chunks, R, size, Body, Size}, Input};
        {Line, Rest} ->
            case read_chunk_size(Line, 0, 0) of
                0 -> decode({trailer, 0}, Rest, R, Body, Size);
                Chunk when Size + Chunk > ?BODY_MAX -> throw({refused, 413});
                Chunk -> decode({data, Chunk}, Rest, R, Body, Size)
            end
    end;
decode({trailer, Bytes}, Input, R, Body, Size) ->
    case take_line(Input, ?HEAD_MAX - Bytes, 431) of
        more -> {more, {chunks, R, {trailer, Bytes}, Body, Size}, Input};
        {<<>>, Rest} -> {request, R#request{body = iolist_to_binary(Body)}, Rest};
        {Line, Rest} ->
            head:take_field(<<Line/binary, "\r\n">>),   % checked and dropped
            decode({trailer, Bytes + byte_size(Line) + 2}, Rest, R, Body, Size)
    end.

take_line(Input, Most, Status) ->
    case binary:split(Input, <<"\n">>) of
        [_] when byte_size(Input) > Most -> throw({refused, Status});
        [_] -> more;
        [Line, _] when byte_size(Line) > Most -> throw({refused, Status});
        [Line, Rest] ->
            Len = byte_size(Line) - 1,
            case Line of
                <<Text:Len/binary, "\r">> -> {Text, Rest};
                _ -> throw({refused, 400})
            end
    end.

read_chunk_size(<<C, Rest/binary>>, Size, Digits) when ?IS_DIGIT(C), Digits < 8 ->
    read_chunk_size(Rest, Size * 16 + C - $0, Digits + 1);
read_chunk_size(<<C, Rest/binary>>, Size, Digits) when C bor 32 >= $a, C bor 32 =< $f, Digits < 8 ->
    read_chunk_size(Rest, Size * 16 + (C bor 32) - $a + 10, Digits + 1);
read_chunk_size(<<>>, Size, Digits) when Digits > 0 -> Size;
read_chunk_size(<<";", Extension/binary>>, Size, Digits) when Digits > 0 ->
    head:text_length(Extension, 0) =:= byte_size(Extension) orelse throw({refused, 400}),
    Size;
read_chunk_size(_, _, _) -> throw({refused, 400}).
