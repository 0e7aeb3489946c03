"""The PyPI client `mixpanel` against a server: `client.py URL send|refused`.

`send` makes every call that goes through a consumer. `refused` succeeds only if the client raises.
(`alias()` always goes to Mixpanel's own host, whatever the consumer.)
"""

import sys

from mixpanel import BufferedConsumer, Consumer, Mixpanel, MixpanelException, ServiceAccountCredentials

TOKEN = "tok_sdk"
TEXT = "naïve 🌳 >>>???~~~"
IMPORT_TIME = 1706933106.789


def urls(host):
    return {
        "events_url": f"{host}/track",
        "people_url": f"{host}/engage",
        "groups_url": f"{host}/groups",
        "import_url": f"{host}/import",
    }


def profiles(mp):
    mp.people_set("u1", {"plan": "pro 🌳"})
    mp.people_set_once("u1", {"first": 1})
    mp.people_increment("u1", {"visits": 2})
    mp.people_append("u1", {"pages": "home"})
    mp.people_union("u1", {"tags": ["a", "b"]})
    mp.people_remove("u1", {"tags": "a"})
    mp.people_unset("u1", ["old"])
    mp.people_track_charge("u1", 29.99)
    mp.people_clear_charges("u1")
    mp.people_delete("u1", meta={"$ignore_alias": True})
    mp.group_set("company", "acme", {"seats": 12})
    mp.group_set_once("company", "acme", {"since": 2026})
    mp.group_union("company", "acme", {"products": ["anvil"]})
    mp.group_remove("company", "acme", {"products": "anvil"})
    mp.group_unset("company", "acme", ["old"])
    mp.group_delete("company", "acme")


def send(host):
    single = Mixpanel(TOKEN, consumer=Consumer(**urls(host)))
    for n in range(10):
        single.track("u1", "Viewed 🌳", {"n": n, "text": TEXT})
    # json.dumps writes these as NaN and Infinity.
    single.track("u1", "Not numbers", {"nan": float("nan"), "infinity": float("inf")})
    profiles(single)
    single.import_data("k", "u1", "Imported", IMPORT_TIME, {"by": "api_key"}, api_secret="s3cret")
    single.merge("k", "u1", "u2", api_secret="s3cret")

    account = ServiceAccountCredentials(username="svc", secret="sec", project_id="42")
    by_account = Mixpanel(TOKEN, consumer=Consumer(**urls(host), credentials=account))
    by_account.import_data(None, "u1", "Imported", IMPORT_TIME, {"by": "account"})

    # Buffers of 50 an endpoint; the credentials of the last message go to all endpoints.
    consumer = BufferedConsumer(**urls(host))
    buffered = Mixpanel(TOKEN, consumer=consumer)
    buffered.people_set("u1", {"buffered": True})
    for n in range(10, 130):
        buffered.track("u1", "Viewed 🌳", {"n": n, "text": TEXT})
    for n in range(60):
        buffered.import_data("k", "u1", "Imported", IMPORT_TIME, {"by": "buffer", "m": n}, api_secret="s3cret")
    consumer.flush()


def refused(host):
    mp = Mixpanel(TOKEN, consumer=Consumer(**urls(host)))
    calls = [
        lambda: mp.track("u1", "Viewed"),
        lambda: mp.people_set("u1", {"a": 1}),
        lambda: mp.group_set("company", "acme", {"a": 1}),
        lambda: mp.import_data("k", "u1", "Imported", IMPORT_TIME, api_secret="s3cret"),
    ]
    for call in calls:
        try:
            call()
        except MixpanelException as error:
            print(error)
        else:
            sys.exit("the client took it for a success")


{"send": send, "refused": refused}[sys.argv[2]](sys.argv[1])
