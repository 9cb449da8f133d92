%% An answered request as bytes.
-module(reply).
-export([start/2, whole/2, hello/2, refusal/1]).
-include("http1.hrl").

%% Nonce, Instance: LAB_NONCE and LAB_INSTANCE, or null.
start(Nonce, Instance) ->
    Line = case Nonce of
        null -> <<>>;
        _ -> <<"Lab-Nonce: ", Nonce/binary, "\r\n">>
    end,
    persistent_term:put(nonce_line, Line),
    persistent_term:put(instance, Instance).

%% KeepAlive: what the reply promises.
whole(#request{route = Route} = R, KeepAlive) ->
    case Route of
        _ when Route =:= plain; Route =:= delay; Route =:= hold ->
            case R of
                #request{is_head = false, is_http_1_0 = false} when KeepAlive -> stats:hello();
                #request{is_head = false} -> hello(stats:stamp(), connection_line(R, KeepAlive));
                _ -> hello_head(stats:stamp(), connection_line(R, KeepAlive))
            end;
        echo -> render(200, <<"application/octet-stream">>, <<>>, R#request.body, R, KeepAlive);
        healthz -> render(200, <<"text/plain">>, persistent_term:get(nonce_line), <<"ok\n">>, R, KeepAlive);
        stats ->
            Text = iolist_to_binary(stats:render(persistent_term:get(instance))),
            render(200, <<"application/json">>, <<>>, Text, R, KeepAlive);
        release ->
            Text = iolist_to_binary(["{\"released\": ", integer_to_binary(gate:release()), "}"]),
            render(200, <<"application/json">>, <<>>, Text, R, KeepAlive);
        not_found -> render(404, <<"text/plain">>, <<>>, <<>>, R, KeepAlive);
        bad_delay -> render(400, <<"text/plain">>, <<>>, <<"ms: expected 0 to 120000\n">>, R, KeepAlive);
        {not_allowed, Allow} ->
            render(405, <<"text/plain">>, ["Allow: ", Allow, "\r\n"], <<>>, R, KeepAlive)
    end.

%% Stamp: the lines Server and Date. Line: further ones, each with its CR LF.
hello(Stamp, Line) -> [hello_head(Stamp, Line), <<"Hello, world!">>].

hello_head(Stamp, Line) ->
    [<<"HTTP/1.1 200 OK\r\n">>, Stamp, <<"Content-Type: text/plain\r\nContent-Length: 13\r\n">>, Line, <<"\r\n">>].

%% For a request too broken to know what it was.
refusal(Status) -> render(Status, <<"text/plain">>, <<>>, <<>>, #request{}, false).

%% Line: further header lines, each with its CR LF.
render(Status, Type, Line, Body, R, KeepAlive) ->
    [status_line(Status), stats:stamp(), Line, <<"Content-Type: ">>, Type, <<"\r\nContent-Length: ">>,
     integer_to_binary(byte_size(Body)), <<"\r\n">>, connection_line(R, KeepAlive), <<"\r\n">> |
     case R#request.is_head of true -> []; false -> Body end].

connection_line(_, false) -> <<"Connection: close\r\n">>;
connection_line(#request{is_http_1_0 = true}, true) -> <<"Connection: keep-alive\r\n">>;
connection_line(_, true) -> <<>>.

status_line(200) -> <<"HTTP/1.1 200 OK\r\n">>;
status_line(400) -> <<"HTTP/1.1 400 Bad Request\r\n">>;
status_line(404) -> <<"HTTP/1.1 404 Not Found\r\n">>;
status_line(405) -> <<"HTTP/1.1 405 Method Not Allowed\r\n">>;
status_line(413) -> <<"HTTP/1.1 413 Content Too Large\r\n">>;
status_line(431) -> <<"HTTP/1.1 431 Request Header Fields Too Large\r\n">>;
status_line(501) -> <<"HTTP/1.1 501 Not Implemented\r\n">>;
status_line(505) -> <<"HTTP/1.1 505 HTTP Version Not Supported\r\n">>.
