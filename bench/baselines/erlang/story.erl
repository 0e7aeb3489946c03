%% The Erlang server of the story: mochiweb, JSON by mochijson2 or by jiffy, errors in words, a queue in memory.
%%
%%   erl -noshell -s story start mochijson2|jiffy
%%
%% The queue stands for the service that the story had there: a process that keeps the newest events, for without a
%% limit it would take all memory within seconds.
-module(story).
-export([start/1]).

-define(QUEUE_ITEMS_MAX, 10000).

start([Json]) ->
    Queue = spawn_link(fun() -> queue(queue:new(), 0) end),
    Loop = fun(Req) -> handle(Req, Json, Queue) end,
    {ok, Server} = mochiweb_http:start([{name, story}, {ip, {127, 0, 0, 1}}, {port, 0}, {loop, Loop},
                                        {backlog, 512}, {max, 4096}]),
    io:format("ready ~b~n", [mochiweb_socket_server:get(Server, port)]),
    unlink(Server).

queue(Items, Count) ->
    receive
        {put, New} -> put_all(New, Items, Count);
        {get, From} -> From ! {items, queue:to_list(Items)}, queue(Items, Count)
    end.

put_all([], Items, Count) -> queue(Items, Count);
put_all([Item | Rest], Items, ?QUEUE_ITEMS_MAX) ->
    put_all(Rest, queue:in(Item, queue:drop(Items)), ?QUEUE_ITEMS_MAX);
put_all([Item | Rest], Items, Count) -> put_all(Rest, queue:in(Item, Items), Count + 1).

handle(Req, Json, Queue) ->
    case mochiweb_request:get(path, Req) of
        "/track" -> answer(Req, track(Req, Json, Queue));
        "/track/" -> answer(Req, track(Req, Json, Queue));
        "/queue" -> answer(Req, contents(Json, Queue));
        _ -> mochiweb_request:not_found(Req)
    end.

answer(Req, Body) ->
    mochiweb_request:ok({"text/plain", [{"Cache-Control", "no-store"}], Body}, Req).

track(Req, Json, Queue) ->
    Query = mochiweb_request:parse_qs(Req),
    Verbose = proplists:get_value("verbose", Query) =:= "1",
    try
        Events = list(decode(Json, payload(Req))),
        lists:foreach(fun check/1, Events),
        Queue ! {put, [with_ip(Event, Req, Query) || Event <- Events]},
        case Verbose of true -> <<"{\"error\":null,\"status\":1}">>; false -> <<"1">> end
    catch
        throw:{refused, Reason} when Verbose ->
            iolist_to_binary(["{\"error\":\"", Reason, "\",\"status\":0}"]);
        throw:{refused, _} -> <<"0">>
    end.

payload(Req) ->
    %% Before the body: the rest of the request is answered from this process.
    Type = mochiweb_request:get_header_value("content-type", Req),
    Body = mochiweb_request:recv_body(Req),
    case Type of
        "application/json" ++ _ -> Body;
        _ -> from_form(proplists:get_value("data", mochiweb_util:parse_qs(Body), ""))
    end.

from_form("") -> throw({refused, "data, missing or empty"});
from_form(Data) ->
    try base64:decode(Data)
    catch _:_ -> throw({refused, "data, not base64"})
    end.

decode(Json, Payload) ->
    try decoded(Json, Payload)
    catch _:_ -> throw({refused, "data, not JSON"})
    end.

decoded(mochijson2, Payload) -> mochijson2:decode(Payload, [{format, proplist}]);
decoded(jiffy, Payload) -> strip(jiffy:decode(Payload)).

%% jiffy wraps an object's members into a tuple of one; so that both have one form from here on, only the two outer
%% levels are taken out of it.
strip(Events) when is_list(Events) -> [strip(Event) || Event <- Events];
strip({Members}) -> [unwrap(Member) || Member <- Members];
strip(Other) -> Other.

unwrap({<<"properties">> = Name, {Members}}) -> {Name, Members};
unwrap(Member) -> Member.

%% An event is a list of pairs, several are a list of those.
list([{_, _} | _] = Event) -> [Event];
list(Events) when is_list(Events), Events =/= [] -> Events;
list(_) -> throw({refused, "event, must be an object"}).

check(Event) when is_list(Event) ->
    text(proplists:get_value(<<"event">>, Event), "event.event, missing or empty"),
    case proplists:get_value(<<"properties">>, Event) of
        [{_, _} | _] = Properties ->
            text(proplists:get_value(<<"token">>, Properties), "event.properties.token, missing or empty");
        _ -> throw({refused, "event.properties, missing or empty"})
    end;
check(_) -> throw({refused, "event, must be an object"}).

text(Text, _) when is_binary(Text), Text =/= <<>> -> ok;
text(_, Reason) -> throw({refused, Reason}).

with_ip(Event, Req, Query) ->
    case proplists:get_value("ip", Query) of
        "1" ->
            Properties = proplists:get_value(<<"properties">>, Event),
            case proplists:is_defined(<<"ip">>, Properties) of
                true -> Event;
                false ->
                    Ip = {<<"ip">>, list_to_binary(mochiweb_request:get(peer, Req))},
                    lists:keystore(<<"properties">>, 1, Event, {<<"properties">>, [Ip | Properties]})
            end;
        _ -> Event
    end.

%% For the proof that the queue holds what was sent; not a part of the story.
contents(Json, Queue) ->
    Queue ! {get, self()},
    receive {items, Items} -> iolist_to_binary(encode(Json, Items)) end.

encode(mochijson2, Items) -> mochijson2:encode(Items);
encode(jiffy, Items) -> jiffy:encode([{[wrap(Member) || Member <- Item]} || Item <- Items]).

wrap({<<"properties">> = Name, Members}) -> {Name, {Members}};
wrap(Member) -> Member.
