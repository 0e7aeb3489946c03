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
        "/queue" -> answer(Req, contents(Queue));
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
        Receipt = receipt(Req, Query),
        Queue ! {put, [record(Event, Json, Receipt) || Event <- Events]},
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

%% What goes on the queue: bytes, for a queue is another service.
record(Event, Json, {ReceivedMs, Ip, Ua}) ->
    iolist_to_binary(encode(Json, [{<<"received_ms">>, ReceivedMs}, {<<"ip">>, Ip}, {<<"ua">>, Ua},
                                   {<<"record">>, Event}])).

receipt(Req, Query) ->
    Ip = case proplists:get_value("ip", Query) of
        "1" -> list_to_binary(mochiweb_request:get(peer, Req));
        _ -> null
    end,
    Ua = case mochiweb_request:get_header_value("user-agent", Req) of
        undefined -> null;
        Text -> list_to_binary(Text)
    end,
    {erlang:system_time(millisecond), Ip, Ua}.

encode(mochijson2, Record) -> mochijson2:encode(Record);
encode(jiffy, Record) -> jiffy:encode(wrap(Record)).

%% The opposite of strip.
wrap(Record) -> {[member(Member) || Member <- Record]}.

member({<<"record">> = Name, Event}) -> {Name, wrap(Event)};
member({<<"properties">> = Name, Properties}) -> {Name, {Properties}};
member(Member) -> Member.

%% For the proof that the queue holds what was sent; not a part of the story.
contents(Queue) ->
    Queue ! {get, self()},
    receive {items, Items} -> iolist_to_binary([$[, lists:join($,, Items), $]]) end.
